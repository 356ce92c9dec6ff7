"""Other libraries compute what torch does, tell nobody, and are refused where they do not suit."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fundusseg import predict
from fundusseg.datasets import Phantom
from fundusseg.errors import ConfigurationError
from fundusseg.inference import Bundle, Predictor
from fundusseg.inference.pretrained import pretrained_bundle
from fundusseg.models import OriginalUNet
from fundusseg.runtimes import exported_program, runtime_network
from tests.support.painter import write_checkpoint

RUNTIMES = ("onnx", "openvino")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """A cache folder of this file's own."""
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(place))
        yield place


@pytest.fixture(scope="module", params=RUNTIMES)
def predictor(request) -> Predictor:
    return Predictor.pretrained(runtime=request.param)


@pytest.mark.slow
def test_label_maps_are_torchs_but_for_pixels_on_the_threshold(predictor):
    torch_predictor = Predictor.pretrained()
    photographs = [sample.image for sample in Phantom(count=4, size=700, seed=3)]
    with ThreadPoolExecutor(4) as pool:  # at the same time, as the service asks
        found = list(pool.map(predictor, photographs))
    for photograph, ours in zip(photographs, found, strict=True):
        theirs = torch_predictor(photograph)
        assert theirs.label_map.any()
        apart = ours.label_map != theirs.label_map
        distance = np.abs(theirs.probabilities - np.array([*torch_predictor.thresholds.values()])[:, None, None])
        assert apart.sum() <= 5
        assert (distance.min(0)[apart] < 1e-3).all()
        assert ours.measures.vertical_cdr == pytest.approx(theirs.measures.vertical_cdr, abs=2e-3)


@pytest.mark.slow
def test_the_graph_is_made_once(predictor, cache):
    files = {path: path.stat().st_mtime_ns for path in (cache / "fundusseg" / "exported").iterdir()}
    assert len(files) == 3
    Predictor.pretrained(runtime="onnx")
    assert {path: path.stat().st_mtime_ns for path in (cache / "fundusseg" / "exported").iterdir()} == files


class Scaled(nn.Module):
    """What it computes by is neither printed nor a weight."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, pixels: Tensor) -> Tensor:
        return self.factor * pixels[:, :2].float()


@pytest.mark.slow
def test_networks_that_look_alike_have_graphs_of_their_own():
    known = Bundle.load(pretrained_bundle()).segmenters[0].description
    side = known.preparation.image_size
    pixels = torch.ones(1, 3, side, side, dtype=torch.uint8)
    for factor in (1.0, 2.0):
        description = replace(known, network={"class_path": "Scaled", "init_args": {"factor": factor}})
        assert runtime_network(Scaled(factor), description, "onnx")(pixels).unique().tolist() == [factor]


@pytest.mark.slow
def test_predict_computes_with_the_runtime_and_says_so(tmp_path):
    from fundusseg.imaging.image_files import write_png

    write_png(tmp_path / "eye.png", Phantom(count=1, size=600)[0].image)
    out = tmp_path / "out"
    assert predict.main([str(tmp_path / "eye.png"), "--runtime=onnx", f"--output={out}"]) == 0
    with pytest.raises(ConfigurationError, match="another"):
        predict.main([str(tmp_path / "eye.png"), f"--output={out}"])


def test_what_does_not_suit_is_refused(tmp_path):
    path = write_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(ConfigurationError, match="runtime 'onxx'"):
        Bundle.load(path, runtime="onxx")
    with pytest.raises(ConfigurationError, match="onnx on cuda"):
        Bundle.load(path, "cuda", runtime="onnx")
    segmenter = Bundle.load(pretrained_bundle()).segmenters[0]
    with pytest.raises(ConfigurationError, match="middle of its pictures"):
        runtime_network(OriginalUNet(out_channels=2), segmenter.description, "onnx")


@pytest.mark.parametrize("library", ["onnx", "onnxscript"])
def test_a_missing_library_is_named(monkeypatch, library):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == library else object())
    with pytest.raises(ConfigurationError, match=f"no {library}; .*extra `export`"):
        exported_program.onnx_bytes(None, {})


@pytest.mark.slow
def test_neither_library_reports_that_it_is_used():
    code = """
import os, sys
from fundusseg.runtimes.libraries import import_onnxruntime, import_openvino
assert "onnxruntime" not in sys.modules
import_onnxruntime()
assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
import_openvino()
assert sys.modules["openvino_telemetry"] is None
from openvino.tools.ovc import telemetry
print(type(telemetry).__module__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "openvino.tools.ovc.telemetry_stub"
