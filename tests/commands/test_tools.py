import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.miniatures import drions_db, drishti_gs
from tests.support.virtual import on_devices

TOOL = Path(__file__).parents[2] / "tools" / "benchmark_data.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("benchmark_data", TOOL)
    sys.modules["benchmark_data"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["benchmark_data"]


@pytest.fixture(scope="module")
def opened(tool, tmp_path_factory):
    """The data module that the quick benchmark feeds from."""
    folder = tmp_path_factory.mktemp("benchmark")
    dataset = tool.draw_photographs(folder / "photographs", tool.QUICK)
    return tool.open_module(dataset, tool.QUICK, folder / "stores")


@pytest.mark.slow
def test_the_benchmark_runs_and_prints_what_it_promises():
    environment = {**os.environ, "PYTHONPATH": str(TOOL.parents[1])}
    command = [sys.executable, str(TOOL), "--quick", "--profile"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    rates, ratios = re.split(r"ours is faster by.*\n", run.stdout)
    installed = importlib.util.find_spec("monai") is not None
    for way in ("raw files", "our stores", *(["MONAI CacheDataset", "MONAI, no metadata"] if installed else [])):
        low, middle, high = (float(n.replace(",", "")) for n in re.search(rf"^{way} +(.+)$", rates, re.M)[1].split())
        assert 0 < low <= middle <= high
    assert ("MONAI is skipped" in run.stdout) != installed
    assert re.search(r"^raw files( +[\d.]+){5} +aim 40: (reached|missed)$", ratios, re.M), "one ratio for each round"
    assert re.search(r"^MONAI CacheDataset( +[\d.]+){5} +aim 8: (reached|missed)$", ratios, re.M) or not installed
    for part in ("store read: picture", "random state", "Affine", "to tensors", "collation", "in all"):
        assert re.search(rf"^{part} +[\d.]+ ", run.stdout, re.M), part
    if Path("/proc/self/smaps_rollup").exists():
        assert re.search(r"^memory, MiB +N = 8 +10 N = 80$", run.stdout, re.M)
        assert re.search(r"^flat within 10 %: yes \(ratio [\d.]+\)$", run.stdout, re.M)


def test_raw_and_ours_give_the_same_batches(tool, opened):
    ours = next(tool.seeded(opened.train_dataloader())(3))
    raw = next(tool.raw_way(opened)(3))
    assert ours.keys() == raw.keys()
    assert all(torch.equal(ours[key], raw[key]) for key in ours)


def test_monai_gives_equal_samples_by_chance(tool, opened):
    pytest.importorskip("monai", reason="the peer is optional")
    ways = (tool.seeded(opened.train_dataloader()), tool.monai_way(opened, metadata=False))
    torch.manual_seed(0)
    found = []
    for way, white in zip(ways, (255, 1), strict=True):
        batches = [batch for epoch in range(60) for batch in way(epoch)]
        assert {batch["image"].shape for batch in batches} == {(4, 3, 64, 64)}
        assert {batch["target"].shape for batch in batches} == {(4, 2, 64, 64)}
        assert all(batch["valid"].all() and batch["valid"].dtype == torch.bool for batch in batches)
        found.append([torch.cat([b[key] for b in batches]).float().div(white) for key in ("image", "target")])
    (image, target), (their_image, their_target) = found
    for name, ours, theirs in (("image", image, their_image), ("target", target, their_target)):
        assert theirs.mean().item() == pytest.approx(ours.mean().item(), rel=0.05), name
        by_sample, by_theirs = (pictures.mean(dim=(1, 2, 3)).std().item() for pictures in (ours, theirs))
        assert by_theirs == pytest.approx(by_sample, rel=0.25), name


def test_without_monai_the_tool_says_so_and_goes_on(tool, opened, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "monai", None)
    assert list(tool.find_ways(opened)) == [tool.RAW, tool.OURS]
    assert "pip install --no-deps monai" in capsys.readouterr().out


def test_repeated_pictures_stay_one_patient_and_all_are_trained(tool, opened, tmp_path):
    repeated = tool.Repeated(opened.datasets[0], 3)
    assert len(repeated) == 24 and len({record.patient for record in repeated.records}) == 8
    larger = tool.open_module(repeated, tool.QUICK, tmp_path)
    assert len(larger.subsets["train"]) == 24
    assert larger.open_stores()[0].images.nbytes == 3 * opened.open_stores()[0].images.nbytes


def test_stopwatch_counts_nested_time_once(tool, monkeypatch):
    clock = iter([0, 2, 5, 10, 14, 20])  # outer starts, inner 2..5, inner 10..14, outer ends
    monkeypatch.setattr(tool.time, "perf_counter", lambda: next(clock))
    watch = tool.Stopwatch()
    inner = watch.watch(lambda: None, "inner")
    watch.watch(lambda: (inner(), inner()), "outer")()
    assert watch.seconds == {"inner": 7, "outer": 13}


def test_turns_are_interleaved_and_ratios_are_of_one_round(tool, capsys):
    order = []

    def way(name, count):
        def epoch(number):
            order.append(name)
            yield {"image": torch.zeros(count, 1)}

        return epoch

    settings = tool.Settings(16, 1, 64, 1, rounds=3, seconds=0.0)
    rates = tool.take_turns({"a": way("a", 1), "b": way("b", 2)}, settings)
    assert order == ["a", "b"] * 4, "one turn of each to warm up, then three rounds"
    assert {name: len(values) for name, values in rates.items()} == {"a": 3, "b": 3}
    tool.report({tool.RAW: [1.0, 2.0, 4.0], tool.OURS: [50.0, 70.0, 400.0]})
    assert "35.0     50.0    100.0   50.0 35.0 100.0   aim 40: reached" in capsys.readouterr().out


@on_devices
@pytest.mark.slow
def test_the_budget_of_xla_is_printed():
    budget = TOOL.with_name("xla_budget.py")
    environment = {**os.environ, "PYTHONPATH": str(TOOL.parents[1])}
    run = subprocess.run(
        [sys.executable, str(budget), "OriginalUNet", "--devices=1"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(
        r"^OriginalUNet\n  XLA, by epoch: graphs compiled 3 0 0, in [\d.]+ s; waits .* 0 0 0$", run.stdout, re.M
    )
    assert "computed on the host: none" in run.stdout
    wrong = subprocess.run(
        [sys.executable, str(budget), "Unet"], env=environment, capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2 and "Unet" in wrong.stderr and "MobileUNet" in wrong.stderr


@pytest.mark.slow
def test_human_agreement_prints_each_experts_line(tmp_path):
    drions_db.build(tmp_path / "drions")
    drishti_gs.build(tmp_path / "drishti")
    tool = TOOL.with_name("human_agreement.py")
    command = [sys.executable, str(tool), f"DrionsDB={tmp_path / 'drions'}", f"DrishtiGS={tmp_path / 'drishti'}"]
    environment = {**os.environ, "PYTHONPATH": str(TOOL.parents[1])}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    # Two outlines of which one is 4% larger: Dice 2 / (1 + 1.04 ** 2), and the same in every picture.
    assert re.search(r"\| interobserver \| expert1 \| drions_db \| 0\.9[56]\d \|", run.stdout), "no spread, no interval"
    assert len(re.findall(r"\| interobserver \| level agree[1-4] \| drishti_gs", run.stdout)) == 4
    assert "no persons" in run.stdout
    command[2:] = ["Drions=here"]
    wrong = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert wrong.returncode == 1 and wrong.stderr.startswith("got 'Drions=here'") and "Traceback" not in wrong.stderr
    assert "expert listed 3. against the mean of the others: mean absolute error 0.023" in run.stdout


def load_tool(name: str):
    """A tool as a module; what it imports from beside itself is found as when it is run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(TOOL.parent)
        spec = importlib.util.spec_from_file_location(name, TOOL.with_name(f"{name}.py"))
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def test_arithmetic_counts_the_multiplications_of_every_convolution():
    arithmetic = load_tool("tpu_arithmetic")
    recipe = arithmetic.CONFIGS / "seeds" / "unet_light_cup.yaml"
    network = torch.nn.Module.eval(
        arithmetic.checkpoint.from_spec(arithmetic.yaml.safe_load(recipe.read_text())["model"]["model"])
    )
    counted = 0

    def count(layer, inputs, output):
        nonlocal counted
        taps = layer.kernel_size[0] * layer.kernel_size[1] * layer.in_channels // layer.groups
        places = inputs[0] if isinstance(layer, torch.nn.ConvTranspose2d) else output
        counted += 2 * taps * layer.out_channels * places.shape[2] * places.shape[3]

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            layer.register_forward_hook(count)
    found = arithmetic.cost(recipe)
    network(torch.zeros(1, 3, found.side, found.side, dtype=torch.uint8))
    assert found.predict == counted
    assert found.train == 3 * counted
    by_flops, _ = found.rate("v5e", 0.4)
    assert by_flops == pytest.approx(0.4 * 197e12 / found.train)


@pytest.mark.slow
def test_the_benchmark_of_training_asks_its_workers_by_turns():
    benchmark = load_tool("benchmark_train")
    command = [sys.executable, benchmark.__file__, "unet_32_4", "--threads=1", "--batch=1"]
    workers = [benchmark.Worker([*command, f"--worker={way}"]) for way in ("ours, 32-true", benchmark.PLAIN)]
    for worker in workers:
        worker.wait()
    for what in ("train", "predict", "train"):
        for worker in workers:
            assert 0 < worker.rate(what, 0.1) < 1000
    for worker in workers:
        worker.close()
        assert worker.process.returncode == 0


@pytest.mark.slow
def test_growth_is_measured(tmp_path, capsys):
    growth = load_tool("benchmark_growth")
    growth.evaluation(80, tmp_path)
    growth.study(2, tmp_path)
    said = capsys.readouterr().out
    for what in ("estimates with intervals", "files", "gathered", "published"):
        assert re.search(rf"^  {what} +[\d.]+ s, computing [\d.]+ s$", said, re.M), what
    assert "800 rows, 12 comparisons" in said
    place = growth.photographs(tmp_path, 2)
    assert [sample.image.shape for sample in growth.Folder(place)] == [(growth.SIDE, growth.SIDE, 3)] * 2
