"""XLA, run for real on the host's virtual devices, which compile and run the programs that a TPU would.

How many there are is settled before the first of them is used: runs on as many share a process, one after another.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import LightningModule
from torch.utils.data import DistributedSampler

from fundusseg import evaluate, fit, predict
from fundusseg.data.sampling import SourceSampler
from fundusseg.datasets import Phantom
from fundusseg.errors import ConfigurationError
from fundusseg.imaging.image_files import write_png
from fundusseg.training.cli import _listed, hardware
from fundusseg.xla import backend, strategy
from fundusseg.xla.compile_monitor import CompileMonitor
from tests.support.virtual import on_devices

pytestmark = pytest.mark.filterwarnings("ignore")

DATA = [
    "--data.image_size=32",
    "--data.batch_size=8",
    "--data.train_augmentation=fundusseg.data.Augmentation",
    "--data.datasets=[{class_path: fundusseg.datasets.Phantom, init_args: {count: 60, size: 96}}]",
]
STEPS = 5  # in an epoch
UNET = ["--model.model=fundusseg.models.UNet", "--model.model.start_channels=4", "--model.model.depth=2"]
MOBILE = ["--model.model=fundusseg.models.MobileUNet", "--model.model.width=0.1"]
SMP = [
    "--model.model=fundusseg.models.SMPModel",
    "--model.model.encoder=tu-test_resnet",
    "--model.model.init_args.options={encoder_depth: 3, decoder_channels: [8, 4, 4]}",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Where runs lie and samples are kept; all take the same."""
    return tmp_path_factory.mktemp("xla")


def start(place: Path, *command: str, devices: int = 8, **variables: str) -> subprocess.CompletedProcess[str]:
    """Start Python on virtual devices."""
    place.mkdir(exist_ok=True)
    environment = {
        **{key: value for key, value in os.environ.items() if key not in ("XLA_USE_SPMD", "PJRT_DEVICE")},
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PJRT_DEVICE": "CPU",
        "CPU_NUM_DEVICES": str(devices),
        "XLA_FLAGS": "--xla_backend_optimization_level=0",  # compiles these small programs several times sooner
        **variables,
    }
    run = [sys.executable, *command]
    return subprocess.run(run, cwd=place, env=environment, capture_output=True, text=True, check=False)


def fit_command(place: Path, *arguments: str, accelerator: str = "tpu") -> list[str]:
    common = [f"--data.cache_dir={place}/cache", "--trainer.enable_progress_bar=false", "--trainer.max_epochs=3"]
    return [*DATA, *common, f"--accelerator={accelerator}", *arguments]


IN_TURN = """
import json, os, sys
from fundusseg import fit
from fundusseg.errors import FundusSegError
for folder, arguments in json.loads(sys.argv[1]):
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    print(f"\\n== {folder}")
    try:
        fit.main(arguments)
    except FundusSegError as error:
        print(f"{type(error).__name__}: {error}")
"""


def in_turn(place: Path, devices: int, runs: dict[str, list[str]]) -> dict[str, dict]:
    """Train in a process of their own, one after another.

    Returns:
        Of each by name, what it said, what all warned of, and what `tests.support.xla_parts.Recorder` wrote.
    """
    commands = [(str(place / name), fit_command(place, *own, *recorder("tpu"))) for name, own in runs.items()]
    run = start(place, "-c", IN_TURN, json.dumps(commands), devices=devices)
    assert run.returncode == 0, run.stderr[-3000:]
    said = dict(part.split("\n", 1) for part in run.stdout.split("\n== ")[1:])
    found = {}
    for name, (folder, _) in zip(runs, commands, strict=True):
        written = Path(folder) / "tpu.json"
        record = json.loads(written.read_text()) if written.exists() else {}
        found[name] = {**record, "said": said[folder], "warned": run.stderr}
    return found


def trained_on_cpu(place: Path, name: str, *arguments: str) -> dict:
    """Train in this process, which has no XLA device."""
    (place / name).mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place / name)
        assert fit.main(fit_command(place, *arguments, *recorder("cpu"), accelerator="cpu")) == 0
    return json.loads((place / name / "cpu.json").read_text())


def recorder(accelerator: str) -> list[str]:
    return ["--trainer.callbacks+=tests.support.xla_parts.Recorder", f"--trainer.callbacks.path={accelerator}.json"]


def losses(record: dict) -> np.ndarray:
    return np.array([[epoch["train/loss"], epoch["val/loss"]] for epoch in record["epochs"]])


def counted(record: dict, name: str) -> list[int]:
    return [int(epoch.get(name, 0)) for epoch in record["counted"]]


MORE = ["--trainer.max_epochs=5", "--model.schedule=null"]
STRICT = ["--trainer.callbacks+=fundusseg.xla.CompileMonitor", "--trainer.callbacks.strict=true"]
HALF = [*UNET, "--trainer.precision=bf16-true"]
WRONG = {
    "three devices": ["--devices=3"],
    "a batch of 10": ["--data.batch_size=10"],
    "a batch of 4": ["--data.batch_size=4"],
    "mixed precision": ["--trainer.precision=bf16-mixed"],
    "a bad picture": ["--data.train_augmentation=tests.support.xla_parts.Spoilt", "--data.batch_size=8"],
    "a growing network": [
        *("--model.model=tests.support.xla_parts.Growing", "--trainer.max_epochs=1", "--data.batch_size=8"),
        *STRICT,
        "--data.samples_per_epoch=80",
    ],
}


@pytest.fixture(scope="module")
def at_eight(place) -> dict[str, dict]:
    """On eight devices: a U-Net trained, the same resumed, and what does not suit them."""
    last = f"--resume={place}/eight/runs/version_0/checkpoints/last.ckpt"
    wrong = {name: [*UNET, *arguments] for name, arguments in WRONG.items()}
    return in_turn(place, 8, {"eight": UNET, "resumed": [*UNET, *MORE, last], **wrong})


@pytest.fixture(scope="module")
def at_two(place) -> dict[str, dict]:
    """On two devices."""
    averaging = ["--trainer.callbacks+=fundusseg.training.AveragedWeights", "--trainer.callbacks.decay=0.99"]
    mobile = [*MOBILE, "--data.device_resident=true"]
    return in_turn(place, 2, {"half": HALF, "averaged": [*HALF, *averaging], "mobile": mobile, "smp": [*SMP, *STRICT]})


@pytest.fixture
def eight(at_eight) -> dict:
    return at_eight["eight"]


@pytest.fixture
def best(place, eight) -> str:
    return str(place / "eight" / "runs" / "version_0" / "checkpoints" / "best.ckpt")


def assert_clean(record: dict, programs: int = 3) -> None:
    """Step, evaluation step, reading of the scores: each compiled once, in the first epoch; nothing left the device."""
    assert counted(record, "compiled") == [programs, 0, 0]
    assert not {name for epoch in record["counted"] for name in epoch if name.startswith("aten::")}
    assert [read for read, _ in record["steps"]] == [0, 0, 0], record["steps"]  # a step reads nothing
    assert "graphs compiled" not in record["warned"], "no complaint"
    assert "operators computed on the host: none" in record["said"]


@on_devices
@pytest.mark.slow
def test_unet_compiles_each_program_once_and_stays_on_the_device(eight):
    assert_clean(eight)
    per_step = np.diff(counted(eight, "bytes_to_device"))[-1]
    assert per_step == 0, "what goes to the devices does not grow"


@on_devices
@pytest.mark.slow
def test_mobile_unet_compiles_each_program_once_and_is_only_sent_what_to_draw(at_two):
    mobile = at_two["mobile"]
    assert_clean(mobile, 2)  # the U-Net before it has read the same scores
    # 8 draws of 4 numbers of 8 bytes in each step; beyond them, rates and emptied metrics, less than one picture.
    assert all(0 <= sent - STEPS * 8 * 4 * 8 < 5 * 32 * 32 for _, sent in mobile["steps"][1:]), mobile["steps"]


@on_devices
@pytest.mark.slow
def test_eight_devices_one_device_and_the_cpu_train_alike(place, eight):
    one, cpu = in_turn(place, 1, {"one": UNET})["one"], trained_on_cpu(place, "cpu", *UNET)
    assert cpu["counted"] is None
    assert losses(eight).shape == (3, 2)
    np.testing.assert_allclose(losses(eight), losses(one), atol=1e-4)
    np.testing.assert_allclose(losses(eight), losses(cpu), atol=1e-3)
    assert losses(eight)[-1, 0] < losses(eight)[0, 0] - 0.05, "it learns"


@on_devices
@pytest.mark.slow
def test_a_strict_watch_names_the_one_operator_that_smp_leaves_to_the_host(at_two):
    said = at_two["smp"]["said"]
    assert set(re.findall(r"aten::\w+", said)) == {"aten::upsample_nearest2d_backward"}
    assert "RecompilationError: got aten::upsample_nearest2d_backward computed on the host" in said


@on_devices
@pytest.mark.slow
def test_bfloat16_leaves_scores_thresholds_and_statistics_in_float32(at_two, eight):
    half = at_two["half"]
    assert_clean(half)
    types = half["types"]
    assert types["model.encoder.blocks.0.layers.0.weight"] == "torch.bfloat16"
    network = {name: kind for name, kind in types.items() if name.startswith("model.") and kind != "torch.int64"}
    normal = re.compile(r"mean|std|running|layers\.[25]\.")  # layers 2 and 5 of a block are its batch norms
    assert {name for name, kind in network.items() if kind == "torch.float32"} == set(filter(normal.search, network))
    assert types["thresholds"] == "torch.float32" and half["metric_types"] == ["torch.float32"]
    np.testing.assert_allclose(losses(half), losses(eight), atol=0.02)
    assert not np.array_equal(losses(half), losses(eight))


@on_devices
@pytest.mark.slow
def test_a_bfloat16_network_is_averaged_in_float32(at_two, place):
    """With a decay at which no step moves an average of 8 bits."""
    assert counted(at_two["averaged"], "compiled")[2] == 0, (
        "the exchange of weights compiles nothing from the third epoch on"
    )
    last = torch.load(place / "averaged/runs/version_0/checkpoints/last.ckpt", weights_only=True)
    name = "model.encoder.blocks.0.layers.0.weight"
    average, now = last["state_dict"][name], last["current_model_state"][name]
    assert (average.dtype, now.dtype) == (torch.float32, torch.bfloat16)
    assert not torch.equal(average, average.bfloat16().float()), "the validations have not rounded it"


@pytest.fixture
def no_xla(monkeypatch):
    """A machine where torch_xla is not installed."""
    monkeypatch.setitem(sys.modules, "torch_xla", None)


USE = """
import sys
from fundusseg import evaluate, predict
from fundusseg.training.cli import _listed, hardware
assert hardware("auto", "auto", 10)["accelerator"] == "auto" and "torch_xla" not in sys.modules, "taken unasked"
assert evaluate.main(sys.argv[1:]) == 0
sys.exit(predict.main([*sys.argv[1:], "in"]))
"""


@on_devices
@pytest.mark.slow
def test_a_checkpoint_of_eight_devices_serves_where_there_is_no_xla(place, best, tmp_path, no_xla, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for sample in Phantom(count=2, size=96):
        (tmp_path / "in").mkdir(exist_ok=True)
        write_png(tmp_path / "in" / f"{sample.record.name}.png", sample.image)
    content = torch.load(best, weights_only=True)
    state = content["optimizer_states"][0]
    assert {tensor.device.type for entry in state["state"].values() for tensor in entry.values()} == {"cpu"}
    assert all(type(group["lr"]) is float and group["capturable"] is False for group in state["param_groups"])
    assert evaluate.main(["--checkpoint", best, "--output=cpu"]) == 0
    assert predict.main(["--checkpoint", best, "in", "--output=cpu"]) == 0
    run = start(tmp_path, "-c", USE, "--checkpoint", best, "--device=tpu", "--output=tpu")
    assert run.returncode == 0, run.stderr[-3000:]
    ours, theirs = (pd.read_csv(tmp_path / where / "images.csv") for where in ("tpu", "cpu"))
    pd.testing.assert_frame_equal(ours, theirs, atol=1e-4)
    assert (tmp_path / "tpu" / "measures.csv").read_text() == (tmp_path / "cpu" / "measures.csv").read_text()


@on_devices
@pytest.mark.slow
def test_a_run_goes_on_from_a_checkpoint_on_either_device(place, at_eight, best):
    here = at_eight["resumed"]
    assert counted(here, "compiled") == [0, 0], "the programs of the run before serve it"
    there = trained_on_cpu(place, "resumed on the CPU", *UNET, *MORE, f"--resume={best.replace('best', 'last')}")
    assert len(here["epochs"]) == 2
    np.testing.assert_allclose(losses(here), losses(there), atol=1e-3)


@on_devices
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("three devices", ["ConfigurationError", "devices 3 where 8 are visible", "CPU_NUM_DEVICES", "TPU_VISIBLE"]),
        ("a batch of 10", ["ConfigurationError", "a batch of 10 for 8 devices", "8 or 16"]),
        ("a batch of 4", ["ConfigurationError", "a batch of 4 for 8 devices", "set batch_size to 8"]),
        ("mixed precision", ["ConfigurationError", "bf16-mixed", "bf16-true"]),
        ("a bad picture", ["ImageError", "went bad"]),
        ("a growing network", ["RecompilationError", "graphs compiled in 10 steps", "a shape changes"]),
    ],
)
def test_what_does_not_suit_the_devices_ends_in_one_sentence(at_eight, name, words):
    sentence = at_eight[name]["said"].strip().splitlines()[-1]
    assert sentence.startswith(f"{words[0]}: got ") and all(word in sentence for word in words[1:]), sentence


@on_devices
@pytest.mark.slow
def test_without_a_tpu_the_sentence_says_what_to_install_and_how_to_try(place):
    code = "import os; os.environ.pop('PJRT_DEVICE'); from fundusseg import fit; from fundusseg.cli import run; "
    run = start(place / "none", "-c", f"{code}run(fit.main)", "--accelerator=tpu")
    assert run.returncode == 2 and "Traceback" not in run.stderr
    assert re.search(r"libtpu is not installed|this machine has no TPU", run.stderr)
    assert "pip install 'fundusseg[tpu]'" in run.stderr and "PJRT_DEVICE=CPU CPU_NUM_DEVICES=8" in run.stderr


def test_without_torch_xla_the_sentence_says_what_to_install(no_xla, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = "torch_xla is not installed.*pip install 'fundusseg.tpu.'.*PJRT_DEVICE=CPU CPU_NUM_DEVICES=8"
    for name in ("auto", "xla"):
        arguments = fit_command(tmp_path, *UNET, f"--trainer.strategy={name}")
        with pytest.raises(ConfigurationError, match=said):
            fit.main(arguments)
    with pytest.raises(ConfigurationError, match=said):
        backend.device()
    assert not backend.has_tpu() and not strategy.XLAAccelerator.is_available()


def test_no_xla_device_is_taken_unasked(monkeypatch):
    monkeypatch.setattr(backend, "find_spec", lambda name: name)  # libtpu is installed
    monkeypatch.setattr(backend, "_REQUESTED", "CPU")
    assert hardware("auto", "auto", 10)["accelerator"] == "auto"


def test_the_watch_needs_no_xla_elsewhere(no_xla):
    monitor, task = CompileMonitor(strict=True), LightningModule()
    for hook in (monitor.on_fit_start, monitor.on_train_epoch_end, monitor.on_fit_end):
        hook(SimpleNamespace(is_global_zero=True), task)
    assert monitor.epochs == []


def test_each_process_reads_its_share_of_the_same_batches():
    def batches(count, size, sampler):
        """The global batches that ``count`` processes read together, each as a set."""
        shares = [list(sampler(count, number)) for number in range(count)]
        assert len({len(share) for share in shares}) == 1, "nobody waits for another"
        own = size // count
        return [
            {draw for share in shares for draw in share[start : start + own]}
            for start in range(0, len(shares[0]) // own * own, own)
        ]

    def drawn(count, number):
        sampler = SourceSampler([0] * 30 + [1] * 17, [1.0, 1.0], seed=3, replicas=count, rank=number)
        sampler.set_epoch(2)
        return sampler

    def in_order(count, number):
        return DistributedSampler(range(48), count, number, shuffle=False)

    for sampler in (drawn, in_order):
        whole = list(sampler(1, 0))
        alone = batches(1, 8, sampler)
        assert alone == [set(whole[start : start + 8]) for start in range(0, len(whole) // 8 * 8, 8)]
        assert batches(2, 8, sampler) == batches(4, 8, sampler) == batches(8, 8, sampler) == alone


def test_entry_points_share_the_device_argument():
    assert evaluate.parser().parse_args(["--checkpoint=a", "--device=tpu"]).device == "tpu"
    assert predict.parser().parse_args(["--checkpoint=a", "b", "--device=tpu"]).device == "tpu"
    assert [_listed(plugins) for plugins in (None, "one", ["one", "two"])] == [[], ["one"], ["one", "two"]]
