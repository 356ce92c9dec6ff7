"""Studies: many trainings, one table.

Takes a plan (YAML): sources, folds, seeds, recipe.
Gives the trainings and evaluations as jobs, and from their rows tables, paired tests and plots.
Never trains in its own process.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
