"""The bundle in the package is the one that its card describes, and it runs."""

import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from fundusseg.atomic_file import file_digest
from fundusseg.datasets import Phantom
from fundusseg.imaging.image_files import write_png
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.inference.pretrained import BUNDLE, pretrained_bundle

LARGEST = 12 * 2**20


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return Bundle.load(pretrained_bundle())


def test_the_card_describes_this_file(shipped):
    card = (BUNDLE.parent / "README.md").read_text(encoding="utf-8")
    size = BUNDLE.stat().st_size
    assert f"{size} bytes" in card and file_digest(BUNDLE) in card
    assert sum(file.stat().st_size for file in BUNDLE.parent.iterdir()) <= LARGEST
    for network in shipped.networks.values():
        for source, licence in network.description.all_sources.items():
            assert source in card and licence.split(";")[0] in card, source
        assert network.description.split.digest in card
    assert "research alone" in card and "Apache-2.0" in card and "Known failures" in card
    assert re.search(r"0\.\d{3} \(0\.\d{3}.0\.\d{3}\)", card), "scores with their intervals"


def test_it_holds_all_that_a_photograph_needs(shipped):
    assert shipped.localiser is not None and shipped.calibration is not None
    thresholds = shipped.segmenters[0].description.thresholds
    assert set(thresholds) == {"disc", "cup"} and all(0 < value < 1 for value in thresholds.values())
    content = torch.load(BUNDLE, weights_only=True)["fundusseg_bundle"]
    for part in [*content["segmenters"], content["localiser"]]:
        assert {w.dtype for w in part["state_dict"].values() if w.ndim > 1} == {torch.float16}


@pytest.mark.slow
def test_it_finds_the_disc_of_synthetic_photographs(shipped):
    predictor, found = Predictor(shipped), 0
    for sample in Phantom(count=4, size=512):
        prediction = predictor(sample.image)
        disc = sample.of("disc")[0].mask
        rows, columns = np.nonzero(prediction.label_map)
        found += rows.size > 0 and bool(disc[int(rows.mean()), int(columns.mean())])
    assert found >= 3


@pytest.mark.slow
def test_one_command_measures_photographs(tmp_path):
    for number, sample in enumerate(Phantom(count=2, size=256)):
        write_png(tmp_path / f"p{number}.png", sample.image)
    command = [sys.executable, "-m", "fundusseg.predict", str(tmp_path), "--output", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "out" / "measures.csv").read_text().splitlines()) == 3
