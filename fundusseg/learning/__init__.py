"""Learning: a bundle that gets better by what a site's graders correct, and never worse.

Takes a store's gradings, a bundle and the public sources at hand.
Gives challengers (recalibrated, fine-tuned), their comparison with the champion, and the champions' folder.
Never learns from the frozen comparison set.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
