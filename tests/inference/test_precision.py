"""bfloat16 is refused where it would be slower, and moves edges by a pixel where it is not."""

import pytest

from fundusseg.datasets import Phantom
from fundusseg.errors import ConfigurationError
from fundusseg.inference.precision import _has_bfloat16, check_precision
from fundusseg.inference.predictor import Predictor
from fundusseg.inference.segmenter import Segmenter
from fundusseg.models import OriginalUNet


@pytest.mark.parametrize(("precision", "device"), [("bf16", "mps"), ("bf16", "xla"), ("half", "cpu")])
def test_what_cannot_be_followed_is_refused(precision, device):
    with pytest.raises(ConfigurationError, match=precision):
        check_precision(precision, device)


def test_a_processor_without_bfloat16_is_refused(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(f"torch.cpu.{name}", lambda: False)
    with pytest.raises(ConfigurationError, match="leave --precision out"):
        Predictor.pretrained(precision="bf16")


def test_what_would_not_be_compiled_is_refused():
    made = Predictor.pretrained().bundle.segmenters[0]
    with pytest.raises(ConfigurationError, match=r"tile by tile; .*leave --compile out"):
        Segmenter(OriginalUNet(out_channels=2), made.description, compiled=True)


@pytest.mark.slow
@pytest.mark.skipif(not _has_bfloat16("cpu"), reason="this CPU has no bfloat16 instructions")
def test_masks_are_those_of_float32_but_for_their_edges():
    photograph = Phantom(count=1, size=512)[0].image
    exact, quick = Predictor.pretrained()(photograph), Predictor.pretrained(precision="bf16")(photograph)
    assert exact.square == quick.square
    differing = (exact.label_map != quick.label_map).sum()
    assert (exact.label_map > 0).sum() > 0 and differing < 0.02 * (exact.label_map > 0).sum()
    assert quick.views[0].dtype == exact.views[0].dtype
    assert (quick.views[0] != exact.views[0]).any()
