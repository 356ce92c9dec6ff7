from .model_bundle import Bundle as Bundle
from .prediction import Prediction as Prediction
from .predictor import Predictor as Predictor
from .segmenter import Segmenter as Segmenter
