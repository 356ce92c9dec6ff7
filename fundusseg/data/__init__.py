"""Data: samples to squares, stores, splits and batches.

Takes datasets.
Gives the square that the network sees (`preparation`), memory-mapped stores, patient-level splits, augmented batches
of one shape, and the LightningDataModule.
Never sees a network.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
