"""Training: what is learnt, and how.

Takes batches.
Gives the LightningModule, losses, running scores, schedules, callbacks, preemption, and the training command's CLI
(`cli`), which says what picks best.ckpt.
Never reads a dataset's files.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
