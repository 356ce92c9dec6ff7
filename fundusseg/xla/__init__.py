"""XLA: TPU through torch_xla, and what any device asks of a training step.

Takes an accelerator's name.
Gives the accelerator, the SPMD strategy, the compile monitor, hosts that agree, rounding and step counts on the device.
Never lets another room import torch_xla.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
