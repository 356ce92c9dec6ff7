"""The recipe of the network that tells the eye, on synthetic photographs of right and left eyes."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from fundusseg.datasets import Phantom
from fundusseg.errors import DatasetError
from fundusseg.imaging.roi import disc_box
from fundusseg.inference.eye_side import EyeReader
from fundusseg.inference.segmenter import Segmenter
from fundusseg.sample import DISC

TOOL = Path(__file__).parents[2] / "tools" / "train_eye.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("train_eye", TOOL)
    sys.modules["train_eye"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["train_eye"]


@pytest.fixture(scope="module")
def eyes(tool, tmp_path_factory):
    return tool.Eyes([Phantom(count=60, size=160)], ".", cache=str(tmp_path_factory.mktemp("cache")))


def told_by(network, sample, image):
    """Probability of a right eye, with the drawn disc."""
    around = disc_box(sample.of(DISC)[0].mask, 1.0)
    column = around.left + around.width / 2
    column = column if image is sample.image else image.shape[1] - column
    return network.probability(image, around.top + around.height / 2, column, around.height)


@pytest.mark.slow
def test_it_learns_the_eye_and_writes_a_network_that_abstains(tool, eyes, tmp_path, capsys):
    network = tool.train(eyes, {}, steps=50, seed=1, batch=16)
    threshold = tool.cut_off(tool.certainty(network, eyes, eyes.keys("val")))
    tool.report(network, eyes, threshold)
    assert "phantom, whole: told" in capsys.readouterr().out
    tool.save(network, eyes, threshold, str(tmp_path / "eye.ckpt"))
    reader = EyeReader(Segmenter.from_checkpoint(tmp_path / "eye.ckpt"))
    description = reader.network.description
    assert description.thresholds == {"right eye": threshold} and description.sources == {"phantom": Phantom.licence}
    assert not any("phantom/000" in key for key in description.split.listed), "no name"
    assert len(description.split.train) == len(eyes.keys("train"))
    others = [*Phantom(count=12, size=160, seed=5)]
    right = [told_by(reader, sample, sample.image) for sample in others]
    assert (
        np.mean([(one > 0.5) == (sample.record.eye == "OD") for one, sample in zip(right, others, strict=True)]) > 0.9
    )
    mirrored = [told_by(reader, sample, np.ascontiguousarray(sample.image[:, ::-1])) for sample in others]
    assert np.add(right, mirrored) == pytest.approx(1, abs=0.1)


def test_a_varied_picture_still_shows_the_disc_and_no_two_are_alike(tool, eyes):
    picture, rng = eyes.pictures[eyes.keys("train")[0]], np.random.default_rng(0)
    varied = [tool.vary(picture, rng) for _ in range(20)]
    assert all(one.shape == (128, 128, 3) and one[59:69, 59:69].mean() > 20 for one in varied)
    assert len({one.tobytes() for one in varied}) == 20
    dark = [float((one.max(axis=2) == 0).mean()) for one in varied]
    assert max(dark) > 0.4 > min(dark), "some are cut as crops are, and some are not"


def test_a_crop_is_dark_outside(tool, eyes):
    picture = eyes.pictures[eyes.keys("train")[0]]
    whole, crop = tool.as_seen(picture), tool.as_seen(picture, 2.4)
    lit = np.flatnonzero(crop.any(axis=(0, 2)))
    assert (lit[0], lit[-1]) == (38, 89) and np.array_equal(crop[38:90, 38:90], whole[38:90, 38:90])


@pytest.mark.parametrize(
    ("certain", "threshold"),
    [([0.99] * 50, 0.9), ([0.99] * 300 + [0.063] * 4, 0.94), ([0.99] * 300 + [0.063] * 3, 0.9), ([0.6] * 50, 0.9)],
)
def test_the_cut_off_leaves_one_error_in_a_hundred(tool, certain, threshold):
    assert tool.cut_off(np.array(certain, np.float32)) == pytest.approx(threshold, abs=1e-6)


def test_a_network_that_is_sure_and_wrong_is_refused(tool):
    with pytest.raises(DatasetError, match="told wrong"):
        tool.cut_off(np.array([0.999] * 20 + [0.001] * 5, np.float32))


def test_known_eyes_are_believed_and_others_told_by_the_disc_s_place(eyes):
    assert eyes.eyes == {record.key: record.eye for record in eyes.data.records}
