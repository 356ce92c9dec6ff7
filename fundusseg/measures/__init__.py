"""Measures: from label maps to numbers, and from numbers to statistics.

Takes label maps, pairs of masks, and tables of numbers.
Gives cup/disc ratios, rim profile, Dice, HD95, Bland-Altman, ICC, ROC, bootstrap intervals and paired tests.
Never touches files, networks or torch; what is undefined is NaN.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
