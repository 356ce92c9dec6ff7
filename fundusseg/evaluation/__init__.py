"""Evaluation: who is scored, under which protocol, and what is said of it.

Takes a checkpoint or bundle, and datasets with ground truth.
Gives scores of every picture, means of sources with intervals (`estimates`), comparisons, tables and worst cases.
Never trains, and never scores a patient that a network has seen.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
