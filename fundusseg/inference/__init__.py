"""Inference: from a photograph to its label map, verdict and files.

Takes photographs and a checkpoint or bundle.
Gives predictions (`predictor`: which square, which verdict and why): label map at native size, outlines, measures,
interval; and their files.
Never uses ground truth, a Trainer or Lightning.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
