"""onnxruntime and OpenVINO, imported so that neither reports that it is used."""

import os
import sys
from typing import Any

from fundusseg.runtimes.exported_program import require_extra


def import_onnxruntime() -> Any:
    """The library; its telemetry is off before it is imported, and stays off.

    Raises:
        ConfigurationError: It is not installed.
    """
    require_extra("onnxruntime")
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read while the library is loaded
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    return onnxruntime


def import_openvino() -> Any:
    """The library, without openvino_telemetry: its import alone would be reported.

    Raises:
        ConfigurationError: It is not installed.
    """
    require_extra("openvino")
    if "openvino" not in sys.modules:
        # None in place of a module makes its import fail; OpenVINO then takes its own stub of it.
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    return openvino
