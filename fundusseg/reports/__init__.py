"""Reports: what every other room writes with.

Takes rows, scores, pictures.
Gives CSV, JSON, tables, overlays, model cards, progress bars, page templates; every file atomically.
Never computes a number.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
