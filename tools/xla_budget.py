"""What a training costs on XLA beside its arithmetic, for each network that the project ships.

    python tools/xla_budget.py
    python tools/xla_budget.py UNet MobileUNet --devices 8
    PJRT_DEVICE=TPU python tools/xla_budget.py --full

Trains each network on synthetic photographs for three epochs, in a process of its own, and prints the graphs compiled
and the waits for a number in each epoch, the operators that the host computed, and the transfers. Nothing should be
compiled from the third epoch on, and nothing computed on the host; segmentation_models_pytorch's interpolation, which
a TPU has an operator for, is the exception on virtual devices.

Networks are tiny unless --full is given: then they have their usual width, and compiling takes minutes on a CPU.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

TINY: dict[str, tuple[int, dict[str, Any]]] = {
    "UNet": (32, {"start_channels": 4, "depth": 2}),
    "LightUNet": (32, {}),
    "OriginalUNet": (60, {"start_channels": 4, "depth": 2}),
    "IsbiUNet": (32, {"start_channels": 4, "depth": 2}),
    "MobileUNet": (32, {"width": 0.1}),
    "SMPModel": (32, {"encoder": "tu-test_resnet", "options": {"encoder_depth": 3, "decoder_channels": [8, 4, 4]}}),
}
"""Side of the picture, and arguments that make the network small."""

FULL = {"UNet": 128, "LightUNet": 128, "OriginalUNet": 572, "IsbiUNet": 256, "MobileUNet": 128, "SMPModel": 128}
"""Side of the picture for the networks as they are."""


def settings(model: str, full: bool, devices: int) -> dict[str, Any]:
    """The run's configuration."""
    size, arguments = (FULL[model], {}) if full else TINY[model]
    phantom = {"class_path": "fundusseg.datasets.Phantom", "init_args": {"count": 12 * devices, "size": 3 * size}}
    network = {"class_path": f"fundusseg.models.{model}", "init_args": {**arguments, "out_channels": 2}}
    return {
        "data": {"datasets": [phantom], "image_size": size, "batch_size": 2 * devices},
        "model": {"model": network},
        "trainer": {"max_epochs": 3, "enable_progress_bar": False},
    }


def measure(model: str, full: bool, devices: int) -> tuple[bool, str]:
    """Train in a process of its own.

    Returns:
        Whether it ran, and the watch's summary or the error.
    """
    variables = {"PJRT_DEVICE": "CPU", "XLA_FLAGS": "--xla_backend_optimization_level=0", **os.environ}
    if variables["PJRT_DEVICE"] == "CPU":
        variables["CPU_NUM_DEVICES"] = str(devices)
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "run.yaml"
        configuration.write_text(json.dumps(settings(model, full, devices)))  # JSON is YAML
        command = [sys.executable, "-m", "fundusseg.fit", f"--config={configuration}", "--accelerator=tpu"]
        command.append(f"--data.cache_dir={folder}")
        run = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    if run.returncode:
        return False, "\n".join(run.stderr.splitlines()[-1:])
    return True, "\n".join(line for line in run.stdout.splitlines() if line.startswith("XLA, "))


def main() -> int:
    """Measure what was asked for; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"some of {', '.join(TINY)}; all where none is")
    parser.add_argument("--devices", type=int, default=2, help="virtual devices, or those that the TPU has")
    parser.add_argument("--full", action="store_true", help="networks and pictures of their usual size")
    asked = parser.parse_args()
    if unknown := sorted(set(asked.models) - set(TINY)):
        parser.error(f"got models {unknown}; expected some of {', '.join(TINY)}")
    good = True
    for model in asked.models or TINY:
        ran, text = measure(model, asked.full, asked.devices)
        print(f"{model}\n  " + text.replace("\n", "\n  "), flush=True)
        good &= ran
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
