"""How fast networks train and predict: ours beside the same in Keras and in plain PyTorch, and MONAI's U-Net.

    python tools/benchmark_train.py [NETWORK ...] [--keras KERAS_ENVIRONMENT/bin/python] [--threads 2]
    python tools/benchmark_train.py --check --keras KERAS_ENVIRONMENT/bin/python

Each way is a process of its own, all of them take turns (A B C A B C ...), and the others wait meanwhile: what else the
machine does meets all of them. Equal are network, picture size, batch, number of threads and the data, which lie in
memory: augmentation and loading are tools/benchmark_data.py's. Ours is Lightning's Trainer with `SegmentationTask`, its
loss, metrics and schedule; plain PyTorch the same network in a bare loop with binary cross entropy; Keras
``train_on_batch`` with the same loss. Between turns the machine's own matrix products are timed; "of peak" is the share
of that rate, in the same precision, of the multiplications that convolutions need.

Keras is optional, in an environment of its own (``pip install tensorflow-cpu``), and so is MONAI (``pip install
--no-deps monai``). With --check Keras writes networks with random weights, which `convert` reads: parameters,
probabilities, and the loss before and after one step of gradient descent must agree within 1e-4. Keras computes in
float64 there, and so does our training step: batch norm over the few pixels of a small network's bottom makes of
float32's rounding a difference of 1e-4 in the next loss.
"""

import argparse
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras_networks
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

TOLERANCE = 1e-4
OURS = {"ours, 32-true": "32-true", "ours, bf16-mixed": "bf16-mixed", "ours, bf16 compiled": "bf16-mixed"}
PLAIN, MONAI, KERAS = "plain PyTorch", "MONAI BasicUNet", "Keras"
PEAKS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
WHAT = ("train", "predict")


def network_of(way: str, name: str) -> nn.Module:
    """A new network of one region."""
    from fundusseg import models

    torch.manual_seed(0)
    if way == MONAI:
        from monai.networks.nets import BasicUNet

        return BasicUNet(spatial_dims=2, in_channels=3, out_channels=1, features=(32, 64, 128, 256, 512, 32))
    case = {key: value for key, value in keras_networks.TIMED[name].items() if key not in ("network", "side")}
    if keras_networks.TIMED[name]["network"] == "MobileUNet":
        case |= {"convention": "keras", "encoder_weights": None}
    made: nn.Module = getattr(models, keras_networks.TIMED[name]["network"])(out_channels=1, **case)
    return made


def batch_of(name: str, size: int) -> dict[str, Tensor]:
    """One batch as the data module gives it."""
    side = keras_networks.TIMED[name]["side"]
    image = torch.randint(0, 256, (size, 3, side, side), dtype=torch.uint8)
    target = 255 * torch.randint(0, 2, (size, 1, side, side), dtype=torch.uint8)
    valid, weight = torch.ones(size, 1, dtype=torch.bool), torch.ones(size)
    zero = torch.zeros(size, dtype=torch.int64)
    return {"image": image, "target": target, "valid": valid, "weight": weight, "source": zero, "index": zero}


def rate(step: Callable[[], Any], pictures: int, seconds: float) -> float:
    """Pictures a second: whole steps until the time is up."""
    start, count = time.perf_counter(), 0
    while (taken := time.perf_counter() - start) < seconds:
        step()
        count += pictures
    return count / taken


# A process of its own: it says that it is ready, and then answers each line, "train SECONDS" or "predict SECONDS".


def work(way: str, name: str, batch: int, threads: int) -> None:
    """Train and predict in one of our ways, or in a bare loop."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    warnings.filterwarnings("ignore")
    network, data = network_of(way, name), batch_of(name, batch)
    if way in OURS:
        return in_trainer(network, data, OURS[way], compiled="compiled" in way)
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    image, target = data["image"].float() / 255 if way == MONAI else data["image"], data["target"].float() / 255

    def step() -> None:
        optimiser.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(network.train()(image), target).backward()
        optimiser.step()

    steps = {"train": step, "predict": prediction(network, image, "32-true")}
    for each in steps.values():
        each()
    print("ready", flush=True)
    for line in sys.stdin:
        what, seconds = line.split()
        print(rate(steps[what], batch, float(seconds)), flush=True)
    return None


def prediction(network: nn.Module, image: Tensor, precision: str) -> Callable[[], Any]:
    """One batch's probabilities."""

    def step() -> Tensor:
        network.eval()
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision != "32-true"):
            return network(image).float().sigmoid()

    return step


def in_trainer(network: nn.Module, data: dict[str, Tensor], precision: str, compiled: bool) -> None:
    """Let the Trainer train; it waits for the next line between two of its steps."""
    import lightning.pytorch as lightning

    from fundusseg.data.preparation import Preparation
    from fundusseg.training.task import SegmentationTask

    image = data["image"].contiguous(memory_format=torch.channels_last)
    side, pictures = image.shape[-1], len(image)

    class Turns(lightning.Callback):
        """Times the steps between two lines."""

        start, count, seconds = 0.0, 0, 0.0

        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            self.count += pictures
            taken = time.perf_counter() - self.start
            if taken < self.seconds:
                return
            answer = str(self.count / taken)
            if not self.seconds:  # the first step of all
                with torch.no_grad():
                    prediction(network, image, precision)()
                answer = "ready"
            print(answer, flush=True)
            while (line := sys.stdin.readline().split()) and line[0] == "predict":
                print(rate(prediction(network, image, precision), pictures, float(line[1])), flush=True)
            trainer.should_stop, network.training = not line, True
            network.train()
            self.start, self.count, self.seconds = time.perf_counter(), 0, float(line[1]) if line else 1.0

    def forever() -> Iterator[dict[str, Tensor]]:
        while True:
            yield data

    class Endless(torch.utils.data.IterableDataset[dict[str, Tensor]]):
        def __iter__(self) -> Iterator[dict[str, Tensor]]:
            return forever()

    if compiled:
        network.compile(dynamic=False)
    task = SegmentationTask(network, preparation=Preparation(("disc",), side), schedule=None)
    options = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = lightning.Trainer(
        accelerator="cpu", precision=precision, max_epochs=1, logger=False, callbacks=[Turns()], **options
    )
    trainer.fit(task, torch.utils.data.DataLoader(Endless(), batch_size=None))


# The process that asks.


class Worker:
    """A process that answers one line at a time."""

    def __init__(self, command: list[str]) -> None:
        self.said = tempfile.TemporaryFile("w+")  # noqa: SIM115  open as long as the process
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.said}
        self.process = subprocess.Popen(command, text=True, **pipes)

    def wait(self) -> None:
        """Until it has taken its first step; libraries' own remarks come before."""
        while not self._read().startswith("ready"):
            pass

    def rate(self, what: str, seconds: float) -> float:
        """Pictures a second of one turn."""
        assert self.process.stdin is not None
        print(what, seconds, file=self.process.stdin, flush=True)
        return float(self._read())

    def _read(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            self.said.seek(0)
            raise SystemExit(f"{self.said.read()}\n{self.process.args} ended with code {code}")
        return line

    def close(self) -> None:
        """Let it end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        self.said.close()


def matrix_rate(dtype: torch.dtype, seconds: float) -> float:
    """Multiplications and additions a second of a matrix product."""
    one = torch.randn(1024, 1024).to(dtype)
    torch.mm(one, one)
    return rate(lambda: torch.mm(one, one), 2 * 1024**3, seconds)


def operations(way: str, name: str) -> dict[str, float]:
    """Multiplications and additions of one picture's convolutions: of a training step, and of a prediction."""
    network, data = network_of(PLAIN if way == KERAS else way, name), batch_of(name, 2)
    image = data["image"].float() / 255 if way == MONAI else data["image"]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(image)
    forward = counter.get_total_flops() / len(image)
    # Back, once more for the gradients of pixels and once for those of weights.
    return {"train": 3 * forward, "predict": forward}


def ways_of(name: str, keras: str | None) -> list[str]:
    """What can be measured here."""
    monai = [MONAI] if name == "unet_32_4" and importlib.util.find_spec("monai") else []
    return [*OURS, PLAIN, *monai, *([KERAS] if keras else [])]


def measure(name: str, given: argparse.Namespace) -> None:
    """Let all ways take turns, and print their rates."""
    ways = ways_of(name, given.keras)
    own = [sys.executable, __file__, name, f"--threads={given.threads}", f"--batch={given.batch}"]
    theirs = [str(given.keras), keras_networks.__file__, "speed", name, f"--batch={given.batch}"]
    commands = {
        way: [*theirs, f"--threads={given.threads}"] if way == KERAS else [*own, f"--worker={way}"] for way in ways
    }
    workers = {way: Worker(command) for way, command in commands.items()}
    for worker in workers.values():
        worker.wait()
    rates: dict[tuple[str, str], list[float]] = {}
    peaks: dict[str, list[float]] = {precision: [] for precision in PEAKS}
    for _ in range(given.rounds):
        for precision, dtype in PEAKS.items():
            peaks[precision].append(matrix_rate(dtype, given.seconds / 4))
        for what in WHAT:
            for way, worker in workers.items():
                rates.setdefault((what, way), []).append(worker.rate(what, given.seconds))
    for worker in workers.values():
        worker.close()
    report(name, rates, peaks, given)


def report(
    name: str, rates: dict[tuple[str, str], list[float]], peaks: dict[str, list[float]], given: argparse.Namespace
) -> None:
    """Print every way's rates, its share of the peak, and round by round how it stands beside the others."""
    best = {precision: max(values) for precision, values in peaks.items()}
    side = keras_networks.TIMED[name]["side"]
    print(f"\n{name}, {side} x {side}, batches of {given.batch}, {given.threads} threads; matrix products:", end=" ")
    print(", ".join(f"{value / 1e9:,.0f} GFLOP/s in {precision}" for precision, value in best.items()))
    print(f"{'pictures/s':30}{'min':>9}{'median':>9}{'max':>9}{'of peak':>9}   times {PLAIN}, times {KERAS}")
    for (what, way), values in rates.items():
        done = statistics.median(values) * operations(way, name)[what]
        share = done / best["bfloat16" if "bf16" in way else "float32"]
        spread = "".join(f"{value:>9.2f}" for value in (min(values), statistics.median(values), max(values)))
        against = [rates[what, other] for other in (PLAIN, KERAS) if (what, other) in rates]
        ratios = [sorted(one / other for one, other in zip(values, others, strict=True)) for others in against]
        beside = ", ".join(f"{ratio[0]:.2f} {statistics.median(ratio):.2f} {ratio[-1]:.2f}" for ratio in ratios)
        print(f"{what + ': ' + way:30}{spread}{share:>9.0%}   {beside}", flush=True)


# The same numbers as Keras'.


def check(keras: str) -> int:
    """Let Keras write its networks, convert them, print the greatest differences; returns the exit code."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        subprocess.run([keras, keras_networks.__file__, "build", place], check=True)
        return compare(Path(place))


def compare(folder: Path) -> int:
    """Convert every file of the folder and print the greatest differences; returns the exit code."""
    print(f"{'network':28}{'parameters':>12}{'probability':>13}{'loss':>12}{'after a step':>14}")
    worst = 0.0
    for path in sorted(folder.glob("*.h5")):
        name = path.stem.removesuffix("_weights")
        count, differences = compare_file(path, keras_networks.CASES[name], dict(np.load(folder / f"{name}.npz")))
        worst = max(worst, *differences)
        print(f"{path.stem:28}{count:>12,}{differences[0]:>13.1e}{differences[1]:>12.1e}{differences[2]:>14.1e}")
    return int(not 0 < worst <= TOLERANCE)


def compare_file(path: Path, case: dict[str, Any], theirs: dict[str, npt.NDArray[Any]]) -> tuple[int, list[float]]:
    """Parameters, and the greatest differences of probabilities and losses from Keras'."""
    import yaml

    from fundusseg import convert
    from fundusseg.models import checkpoint, count_parameters

    arguments = {key: value for key, value in case.items() if key not in ("network", "side")}
    arguments |= {"out_channels": 1, "mean": [0.0], "std": [1.0]}
    if case["network"] == "MobileUNet":
        arguments["convention"] = "keras"
    network = {"class_path": f"fundusseg.models.{case['network']}", "init_args": arguments}
    data = {"regions": ["region"], "image_size": case["side"]}
    with tempfile.TemporaryDirectory() as place:
        config, output = Path(place, "config.yaml"), Path(place, "converted.ckpt")
        config.write_text(yaml.safe_dump({"data": data, "model": {"model": network}}))
        convert.console.quiet = True
        convert.main([str(path), f"--config={config}", f"--output={output}"])
        ours: Any = checkpoint.build(*checkpoint.load(output))
    image, target = (torch.from_numpy(theirs[key]).permute(0, 3, 1, 2) for key in ("pixels", "target"))
    with torch.inference_mode():
        outputs = ours(image).sigmoid().permute(0, 2, 3, 1).numpy()
    losses = []
    for layer in ours.double().train().modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    optimiser = torch.optim.SGD(ours.parameters(), keras_networks.RATE)
    for _ in range(2):
        loss = nn.functional.binary_cross_entropy_with_logits(ours(image), target)
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    differences = [np.abs(outputs - theirs["outputs"]).max(), *np.abs(np.array(losses) - theirs["losses"])]
    return count_parameters(ours)[0], [float(difference) for difference in differences]


def main() -> int:
    """Measure, or check; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"some of {', '.join(keras_networks.TIMED)}")
    parser.add_argument("--keras", help="Python of an environment that has Keras")
    parser.add_argument("--check", action="store_true", help="compare numbers with Keras', not speeds")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="least length of a turn")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if unknown := sorted(set(given.networks) - set(keras_networks.TIMED)):
        parser.error(f"got networks {unknown}; expected some of {', '.join(keras_networks.TIMED)}")
    if given.check:
        return check(given.keras or parser.error("--check needs --keras"))
    torch.set_num_threads(given.threads)
    for name in given.networks or keras_networks.TIMED:
        if given.worker:
            work(given.worker, name, given.batch, given.threads)
        else:
            measure(name, given)
    return 0


if __name__ == "__main__":
    sys.exit(main())
