"""The tool that makes the shipped bundle, in miniature: from recipes to a file, its digest and its card."""

import importlib.util
import math
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from fundusseg.atomic_file import file_digest
from fundusseg.errors import ConfigurationError
from fundusseg.inference import pretrained
from fundusseg.inference.model_bundle import KEY
from fundusseg.inference.predictor import Predictor

TOOL = Path(__file__).parents[2] / "tools" / "make_bundle.py"

RECIPE = {
    "data": {
        "datasets": [{"class_path": "fundusseg.datasets.Phantom", "init_args": {"count": 80, "size": 128}}],
        "image_size": 48,
        "batch_size": 8,
    },
    "model": {"model": {"class_path": "fundusseg.models.UNet", "init_args": {"start_channels": 8, "depth": 3}}},
    "trainer": {"max_epochs": 8, "enable_progress_bar": False, "accelerator": "cpu"},
}


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("make_bundle", TOOL)
    sys.modules["make_bundle"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["make_bundle"]


@pytest.fixture(scope="module")
def made(tool, tmp_path_factory) -> Path:
    """The output folder of a whole run."""
    place = tmp_path_factory.mktemp("make")
    (place / "segmenter.yaml").write_text(yaml.safe_dump(RECIPE))
    one = {**RECIPE["model"]["model"]["init_args"], "out_channels": 1}
    localiser = {
        **RECIPE,
        "data": {**RECIPE["data"], "regions": ["disc"], "roi": "field_of_view"},
        "model": {"model": {**RECIPE["model"]["model"], "init_args": one}},
    }
    (place / "localiser.yaml").write_text(yaml.safe_dump(localiser))
    (place / "notes.md").write_text("## Known failures\n\nSquare discs.\n")
    recipes = ["--configs", f"{place}/segmenter.yaml", "--localiser_config", f"{place}/localiser.yaml"]
    folders = ["--work", f"{place}/work", "--output", f"{place}/bundles", "--notes", f"{place}/notes.md"]
    assert tool.main([*recipes, *folders, f"--fit=--data.cache_dir={place}/cache"]) == 0
    return place / "bundles"


@pytest.mark.slow
def test_recipes_become_a_bundle_with_digest_and_card(made, monkeypatch):
    file = made / "fundusseg.bundle"
    monkeypatch.setattr(pretrained, "BUNDLE", file)
    assert Predictor.pretrained().calibration.count >= 9
    parts = torch.load(file, weights_only=True)[KEY]["segmenters"]
    assert {weight.dtype for weight in parts[0]["state_dict"].values() if weight.ndim > 1} == {torch.float16}
    card = (made / "README.md").read_text()
    for words in (file_digest(file), f"{file.stat().st_size} bytes", "research alone", "Square discs", "phantom"):
        assert words in card, words
    assert re.search(r"\| phantom [^|]*\| 0\.\d{3} \(0\.\d{3}", card), "scores with their intervals"
    assert str(made.parent) not in card


@pytest.mark.slow
def test_too_large_a_bundle_is_refused_and_nothing_is_written(tool, made, tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "LARGEST", 1000)
    work = made.parent / "work"
    checkpoints = [str(next((work / kind).glob("runs/*/checkpoints/best.ckpt"))) for kind in ("segmenter", "localiser")]
    given = ["--segmenters", checkpoints[0], "--localiser", checkpoints[1]]
    with pytest.raises(ConfigurationError, match="1000 at most"):
        tool.main([*given, "--work", str(tmp_path / "work"), "--output", str(tmp_path / "bundles")])
    assert not (tmp_path / "bundles").exists()
    with pytest.raises(ConfigurationError, match="a network trained without it"):
        tool.main([*given, "--left_out", f"phantom={checkpoints[0]}", "--work", str(tmp_path / "work")])


@pytest.mark.slow
def test_the_interval_comes_from_a_source_left_out(tool, made, tmp_path):
    """The segmenter with its split taken for one of another source: the phantoms are then strangers."""
    work = made.parent / "work"
    checkpoints = [str(next((work / kind).glob("runs/*/checkpoints/best.ckpt"))) for kind in ("segmenter", "localiser")]
    content = torch.load(checkpoints[0], weights_only=True)
    split = content["fundusseg"]["split"]
    for subset in ("train", "val"):
        split[subset] = [key.replace("phantom/", "other/") for key in split[subset]]
    torch.save(content, tmp_path / "a.ckpt")
    strangers = tool.left_out("phantom", str(tmp_path / "a.ckpt"), checkpoints[1], ".")
    assert -6 <= tool.reader_logits(*strangers) <= 6
    rows = tool.left_out_rows(*strangers)
    needed = tool.needed_factors(rows)
    assert 60 < len(needed) <= len(rows) <= 80
    calibration, table = tool.left_out_interval({"phantom": rows, "discs": [replace(rows[0], ratio_error=math.nan)]})
    assert 0.9 <= np.mean(np.asarray(needed) <= calibration.factor) < 0.95 and table == ""
    halves = {"a": rows[::2], "b": rows[1::2]}
    _, table = tool.left_out_interval(halves)
    assert re.search(r"^\| a \| \d+ \| \d+% \| \d\.\d\d \|$", table, re.M)


def test_each_source_weighs_the_same(tool):
    few, many = np.linspace(1, 2, 20), np.zeros(900)
    # Half of the weight is the few's: 90 % of all is 80 % of them.
    assert tool.pooled_factor({"few": few, "many": many}) == pytest.approx(np.quantile(few, 0.8), abs=0.15)
    assert tool.pooled_factor({"one": np.arange(1, 10)}) == 9  # split conformal: the ninth of nine
    with pytest.raises(ConfigurationError, match="at least 9 of each"):
        tool.pooled_factor({"one": [1.0] * 8})
