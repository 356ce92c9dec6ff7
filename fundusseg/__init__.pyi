from .data.datamodule import FundusDataModule as FundusDataModule
from .errors import FundusSegError as FundusSegError
from .inference.predictor import Predictor as Predictor
from .measures.cup_disc import Measures as Measures
from .measures.cup_disc import measure as measure
from .sample import Sample as Sample
from .training.task import SegmentationTask as SegmentationTask

__version__: str
