"""Models: networks, their weights, and the file that they are kept in.

Takes regions and sizes, or a checkpoint.
Gives the generalized U-Net and three published ones, a MobileNetV2 U-Net, any segmentation_models_pytorch network.
Never trains.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
