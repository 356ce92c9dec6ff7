"""Without a checkpoint the package's own bundle is taken, and only the one that was published."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from fundusseg import evaluate, predict
from fundusseg.atomic_file import file_digest
from fundusseg.data.preparation import Preparation
from fundusseg.errors import CheckpointError
from fundusseg.inference import model_bundle, pretrained
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.inference.pretrained import pretrained_bundle
from fundusseg.models import SMPModel, checkpoint
from tests.support import painted
from tests.support.painter import photograph, write_checkpoint


@pytest.fixture
def shipped(tmp_path, monkeypatch) -> Path:
    """A bundle in the place of the package's own, with its digest beside it."""
    file = tmp_path / "bundles" / "fundusseg.bundle"
    model_bundle.save(file, [write_checkpoint(tmp_path / "best.ckpt")], None, None)
    file.with_name(f"{file.name}.sha256").write_text(f"{file_digest(file)}  {file.name}\n")
    monkeypatch.setattr(pretrained, "BUNDLE", file)
    return file


def test_the_published_file_is_taken(shipped):
    assert pretrained_bundle() == shipped
    expected = Predictor.from_checkpoint(shipped)(photograph()).measures
    assert Predictor.pretrained(views=2)(photograph()).measures.vertical_cdr == expected.vertical_cdr > 0


@pytest.mark.parametrize("missing", ["fundusseg.bundle", "fundusseg.bundle.sha256"])
def test_a_missing_file_is_one_sentence(shipped, missing):
    (shipped.parent / missing).unlink()
    with pytest.raises(CheckpointError, match=r"no bundle beside the package's code .*--checkpoint"):
        predict.main(["photograph.png"])


def test_a_file_that_was_not_published_is_refused(shipped):
    content = bytearray(shipped.read_bytes())
    content[len(content) // 2] ^= 1
    shipped.write_bytes(content)
    with pytest.raises(CheckpointError, match="a damaged bundle"):
        Predictor.pretrained()


@pytest.mark.slow
def test_predict_and_evaluate_without_a_checkpoint(shipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shape = painted.mask(painted.DISC), painted.mask(painted.CUP)
    root = painted.folder(tmp_path / "site", {"a": shape, "b": shape})
    assert predict.main([str(root / "images"), "--output", "out"]) == 0
    assert "fundusseg.bundle" in (tmp_path / "out" / "report.html").read_text()
    assert len((tmp_path / "out" / "measures.csv").read_text().splitlines()) == 3
    Path("site.yaml").write_text(yaml.safe_dump({"data": painted.data(root)}))
    assert evaluate.main(["--config", "site.yaml", "--allow_seen"]) == 0
    assert "fundusseg.bundle, sha256" in (tmp_path / "evaluation-site" / "figures.json").read_text()


def test_halved_kernels_are_computed_with_in_float32(tmp_path):
    network = SMPModel("Unet", "mobilenet_v2", None, options={"decoder_channels": [16, 8, 8, 8, 8]})
    description = checkpoint.describe(
        network, Preparation(image_size=64), thresholds={"disc": 0.5, "cup": 0.5}, sources={}
    )
    state = {f"model.{name}": weight for name, weight in network.state_dict().items()}
    too_large = next(name for name, weight in state.items() if weight.ndim == 4)
    state[too_large] = state[too_large].clone()
    state[too_large].view(-1)[0] = 1e6  # beyond float16: it stays as it is
    torch.save({checkpoint.KEY: description.as_dict(), "state_dict": state}, tmp_path / "best.ckpt")
    files = {half: tmp_path / f"{half}.bundle" for half in (False, True)}
    for half, file in files.items():
        model_bundle.save(file, [tmp_path / "best.ckpt"], None, None, half)
    assert files[True].stat().st_size < 0.56 * files[False].stat().st_size
    whole, halved = (Bundle.load(file).segmenters[0].network for file in files.values())
    for (name, expected), found in zip(whole.state_dict().items(), halved.state_dict().values(), strict=True):
        assert found.dtype == expected.dtype
        exact = expected.ndim < 2 or f"model.{name}" == too_large
        assert torch.equal(found, expected if exact or not expected.is_floating_point() else expected.half().float())
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 3, 64, 64), np.uint8))
    assert all(network(pixels).dtype == torch.float32 for network in (whole, halved))
