"""Optic disc and cup segmentation in eye fundus photographs.

The public names are imported when they are first used, so that ``import fundusseg`` stays quick and needs no torch.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
