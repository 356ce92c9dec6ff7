"""Many machines: photographs and trainings on a Ray cluster, the only room that imports ray.

Takes an address (``local``, ``auto`` or HOST:PORT) and what each job may use of a machine.
Gives the same files, rows and tables as one machine does, whatever is killed meanwhile.
Never decides what is measured or trained: it carries what `inference` and `studies` do.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
