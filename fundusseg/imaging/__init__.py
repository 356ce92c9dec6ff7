"""Imaging: the pixels of a photograph.

Takes picture files and pixel arrays.
Gives uint8 RGB, the field of view, squares cut out and laid back, image quality, and the eye's side (laterality).
Never knows labels, networks or torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
