"""What a training costs on XLA beside its arithmetic, for each network that the project ships.

    python tools/xla_budget.py
    python tools/xla_budget.py UNet MobileUNet --devices 8
    PJRT_DEVICE=TPU python tools/xla_budget.py --full
    python tools/xla_budget.py UNet --steps --rounds 3

Trains each network on synthetic photographs for three epochs, in a process of its own, and prints the graphs compiled
and the waits for a number in each epoch, the operators that the host computed, and the transfers. Nothing should be
compiled from the third epoch on, and nothing computed on the host; segmentation_models_pytorch's interpolation, which
a TPU has an operator for, is the exception on virtual devices.

Networks are tiny unless --full is given: then they have their usual width, and compiling takes minutes on a CPU.

--steps measures the time of a step instead, of one batch of 16: plain torch on the CPU, one virtual device, eight, and
eight on whose memory the pictures lie (device_resident), by turns (A B C D A B C D ...), each a process of its own and
compiled as XLA does it by default. XLA's devices share all cores; torch has as many threads as OMP_NUM_THREADS says.
"""

import argparse
import json
import os
import statistics
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


WAYS: dict[str, tuple[str, int, bool]] = {
    "torch, CPU": ("cpu", 0, False),
    "XLA, 1 device": ("tpu", 1, False),
    "XLA, 8 devices": ("tpu", 8, False),
    "XLA, 8 devices, resident": ("tpu", 8, True),
}
"""Accelerator, virtual devices, and whether the pictures lie in their memory."""


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


def step_seconds(model: str, way: str, cache: Path) -> float:
    """Train in a process of its own; the median of its epochs' steps.

    Raises:
        SystemExit: It failed.
    """
    accelerator, devices, resident = WAYS[way]
    configuration = settings(model, False, 8)
    flips = [{"class_path": f"albumentations.{name}"} for name in ("HorizontalFlip", "VerticalFlip")]
    data = {
        "image_size": 64,
        "samples_per_epoch": 20 * 16,
        "drop_duplicates_from": ["phantom"],
        "device_resident": resident,
        "cache_dir": str(cache),
    }
    if not resident:  # which flips on the device
        data["train_augmentation"] = {"class_path": "fundusseg.data.Augmentation", "init_args": {"transforms": flips}}
    with tempfile.TemporaryDirectory() as folder:
        written, here = Path(folder) / "steps.json", str(Path(__file__).parent)
        configuration["data"] |= data
        configuration["trainer"]["callbacks"] = [
            {"class_path": "step_times.StepTimes", "init_args": {"path": str(written)}}
        ]
        (Path(folder) / "run.yaml").write_text(json.dumps(configuration))
        variables = {**os.environ, "PYTHONPATH": os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])}
        if devices:
            variables |= {"PJRT_DEVICE": "CPU", "CPU_NUM_DEVICES": str(devices)}
        command = [sys.executable, "-m", "fundusseg.fit", "--config=run.yaml", f"--accelerator={accelerator}"]
        run = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
        if run.returncode:
            raise SystemExit(run.stderr[-2000:])
        return statistics.median(json.loads(written.read_text()))


def compare_steps(model: str, rounds: int) -> None:
    """Print the milliseconds of a step, each way by turns."""
    taken: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as cache:
        for number in range(rounds):
            for way, seconds in taken.items():
                seconds.append(1000 * step_seconds(model, way, Path(cache)))
                print(f"{model}, round {number + 1}: {way:28}{seconds[-1]:>9.1f} ms a step", flush=True)
    print(f"{model + ', ms a step':28}{'min':>9}{'median':>9}{'max':>9}")
    for way, seconds in taken.items():
        print(f"{way:28}{min(seconds):>9.1f}{statistics.median(seconds):>9.1f}{max(seconds):>9.1f}")


def main() -> int:
    """Measure what was asked for; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"some of {', '.join(TINY)}; all where none is")
    parser.add_argument("--devices", type=int, default=2, help="virtual devices, or those that the TPU has")
    parser.add_argument("--full", action="store_true", help="networks and pictures of their usual size")
    parser.add_argument("--steps", action="store_true", help="the time of a step, beside torch on the CPU")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each way of --steps")
    asked = parser.parse_args()
    if unknown := sorted(set(asked.models) - set(TINY)):
        parser.error(f"got models {unknown}; expected some of {', '.join(TINY)}")
    if asked.steps:
        for model in asked.models or TINY:
            compare_steps(model, asked.rounds)
        return 0
    good = True
    for model in asked.models or TINY:
        ran, text = measure(model, asked.full, asked.devices)
        print(f"{model}\n  " + text.replace("\n", "\n  "), flush=True)
        good &= ran
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
