"""What networks can be written as, and what can compute them; without torch, for the command line."""

from typing import Literal, TypeAlias

Format: TypeAlias = Literal["onnx", "openvino", "torch_export"]
"""`.onnx`; `.xml` and `.bin`; `.pt2`."""

Runtime: TypeAlias = Literal["torch", "onnx", "openvino"]
"""torch itself, onnxruntime, OpenVINO."""
