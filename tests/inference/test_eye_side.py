"""The eye told from the picture, with a network that looks where the light is."""

import pytest
import torch
from torch import nn

from fundusseg.data.preparation import Preparation
from fundusseg.errors import ConfigurationError
from fundusseg.inference import model_bundle
from fundusseg.inference.eye_side import RIGHT, EyeReader
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.inference.segmenter import Segmenter
from fundusseg.models import EyeNetwork, MobileUNet, checkpoint
from fundusseg.models.checkpoint import Description
from tests.support.located import BOTH, DISC, LOCALISER, photograph


class Blue(nn.Module):
    """A right eye, where the left third of the square has more blue light than the right one; the disc is between."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        blue = (image[:, 2].float() - 30).relu()
        third = blue.shape[-1] // 3
        return (blue[..., :third].mean((1, 2)) - blue[..., -third:].mean((1, 2)))[:, None, None, None]


def reader(threshold=0.9, scale=4.0):
    preparation = Preparation(regions=(RIGHT,), image_size=64, roi="disc", roi_scale=scale)
    return EyeReader(Segmenter(Blue(), Description("0", {}, preparation, {RIGHT: threshold}, {}, "", None)))


def with_light(x, level=255, size=60):
    """A photograph with a blue spot so far right of the disc's centre, clear of the disc."""
    image = photograph()
    row, column = round(DISC.y), round(DISC.x) + x
    image[row - 20 : row + 20, column - size // 2 : column + size // 2, 2] = level
    return image


@pytest.mark.parametrize(("x", "eye"), [(-100, "OD"), (100, "OS"), (300, None)])
def test_it_looks_around_the_disc_and_nowhere_else(x, eye):
    found = Predictor(Bundle((BOTH,), LOCALISER, eye=reader()))(with_light(x))
    # 4 diameters around the disc reach 180 pixels to each side; the spot at 300 is not seen, the cup is in the middle.
    assert found.eye == eye and found.eye_from == ("vessels and fovea" if eye else "not told")
    assert (found.measures.disc_height > 0) and found.verdict == "accept"


def test_it_abstains_where_it_is_not_sure():
    image = with_light(-100, level=50)
    place = (DISC.y, DISC.x, 90.0)
    probability = reader().probability(image, *place)
    assert 0.5 < probability < 0.9 and reader()(image, *place) is None
    assert reader(threshold=0.5)(image, *place) == "OD"
    assert reader().probability(image[:, ::-1], DISC.y, 700 - DISC.x, 90.0) == pytest.approx(1 - probability, abs=0.01)


def test_what_is_given_and_the_name_come_first():
    told = Predictor(Bundle((BOTH,), LOCALISER, eye=reader()))
    image = with_light(-100)
    assert [told(image, **known).eye for known in ({"eye": "OS"}, {"name": "3_OS.png"}, {})] == ["OS", "OS", "OD"]
    assert told(image, name="3_OS.png").eye_from == "name"


def test_a_network_for_something_else_is_refused():
    with pytest.raises(ConfigurationError, match="tells the eye"):
        EyeReader(BOTH)


def test_a_bundle_carries_it(tmp_path):
    torch.manual_seed(0)
    eye = EyeNetwork(image_size=64, width=4).eval()
    preparation = Preparation(regions=(RIGHT,), image_size=64, roi="disc", roi_scale=6.0)
    parts = {}
    for name, network, prepared in (
        ("eye", eye, preparation),
        ("segmenter", MobileUNet(width=0.1), Preparation(image_size=64)),
    ):
        thresholds = dict.fromkeys(prepared.regions, 0.75)
        description = checkpoint.describe(network, prepared, thresholds=thresholds, sources={name: "none"})
        weights = {f"model.{key}": weight for key, weight in network.state_dict().items()}
        parts[name] = tmp_path / f"{name}.ckpt"
        checkpoint.write({checkpoint.KEY: description.as_dict(), "state_dict": weights}, parts[name])
    model_bundle.save(tmp_path / "both.bundle", [parts["segmenter"]], None, None, eye=parts["eye"], half=True)
    loaded = Bundle.load(tmp_path / "both.bundle")
    assert (
        loaded.eye is not None and list(loaded.parts) == ["segmenter", "eye"] and list(loaded.networks) == ["segmenter"]
    )
    kernel = loaded.eye.network.network.encoder[0].weight
    assert torch.equal(kernel, eye.encoder[0].weight.half().float())
    assert loaded.eye.probability(photograph(), DISC.y, DISC.x, 90.0) == pytest.approx(0.5, abs=0.01), "untrained"
    model_bundle.save(tmp_path / "alone.bundle", [parts["segmenter"]], None, None)
    assert Bundle.load(tmp_path / "alone.bundle").eye is None
