"""Runtimes: trained networks outside of torch, as files for others and as what `predict` computes with.

Takes a network and its description.
Gives an exported program, ONNX and OpenVINO files that say what they are, and networks that those libraries compute.
The only room that imports onnxruntime and openvino, which come with the extra `export`. Never trains.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
