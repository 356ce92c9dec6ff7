from .protocols import Protocol as Protocol
from .scoring import Evaluation as Evaluation
