"""Datasets: one public dataset per file.

Takes a folder as the publisher (or a mirror) packed it.
Gives records, and samples at native size with every expert's annotation; your own set through `folder`, or a class of
your own after `base`.
Never prepares, splits or merges; helpers' names begin with an underscore.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
