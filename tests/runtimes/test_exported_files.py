"""Files of the shipped networks, read back by the libraries that others read them with."""

import functools
import json

import numpy as np
import pytest
import torch

from fundusseg import export
from fundusseg.atomic_file import file_digest
from fundusseg.errors import ConfigurationError
from fundusseg.inference import Bundle
from fundusseg.inference.pretrained import pretrained_bundle
from fundusseg.runtimes import exported_files, write_exported
from fundusseg.runtimes.libraries import import_openvino

PARTS = ("segmenter", "localiser", "eye")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load(pretrained_bundle())


@pytest.fixture(scope="module")
def exported(bundle, tmp_path_factory):
    """The shipped bundle in every format; each network is recorded once, and its ONNX graph made once, for all."""
    place, graphs = tmp_path_factory.mktemp("exported"), {}
    onnx_bytes, exported_program = exported_files.onnx_bytes, exported_files.exported_program

    def onnx_once(program, metadata):
        return graphs.get(program) or graphs.setdefault(program, onnx_bytes(program, metadata))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export.Bundle, "load", lambda source: bundle)
        patch.setattr(exported_files, "exported_program", functools.cache(exported_program))
        patch.setattr(exported_files, "onnx_bytes", onnx_once)
        for to in ("onnx", "openvino", "torch_export"):
            assert export.main([f"--to={to}", f"--output={place}"]) == 0
    return place


def compute(path, pixels):
    """Logits, and what the file says of itself, as a program that knows nothing of ours gets them."""
    if path.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path)
        return session.run(["logits"], {"pixels": pixels})[0], session.get_modelmeta().custom_metadata_map
    if path.suffix == ".xml":
        core = import_openvino().Core()
        model = core.read_model(path)
        said = {name: value.astype(str) for name, value in model.get_rt_info("fundusseg").astype(dict).items()}
        return core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"pixels": pixels})["logits"], said
    names = ("regions", "thresholds", "checkpoint_sha256", "part")
    said = dict.fromkeys(names, "")
    program = torch.export.load(path, extra_files=said)
    return program.module()(torch.from_numpy(pixels)).detach().numpy(), said


@pytest.mark.parametrize("ending", [".onnx", ".xml", ".pt2"])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.slow
def test_a_file_gives_the_networks_logits_for_any_number_of_pictures(bundle, exported, ending, count):
    for part in PARTS:
        network, description = bundle.parts[part].network, bundle.parts[part].description
        side = description.preparation.image_size
        pixels = np.random.default_rng(0).integers(0, 256, (count, 3, side, side), np.uint8)
        logits, said = compute(exported / f"{part}{ending}", pixels)
        with torch.no_grad():
            expected = network(torch.from_numpy(pixels)).numpy()
        assert logits.shape == expected.shape
        assert np.abs(logits - expected).max() < 2e-4
        assert json.loads(said["regions"]) == list(description.preparation.regions)
        assert json.loads(said["thresholds"]) == pytest.approx(description.thresholds)
        assert said["checkpoint_sha256"] == file_digest(pretrained_bundle())
        assert said["part"] == part


class AsksThePicture(torch.nn.Module):
    """A step in Python that hangs on the pixels."""

    def forward(self, image):
        return image.float() if image.float().mean() > 9 else -image.float()


def test_a_network_that_no_graph_can_say_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(ConfigurationError, match="AsksThePicture that cannot be exported"):
        write_exported(AsksThePicture(), {"image_size": "32"}, tmp_path / "it", "torch_export")
    assert not list(tmp_path.iterdir())


def test_what_there_is_to_write_is_said(tmp_path):
    with pytest.raises(ConfigurationError, match="onnx"):
        export.main(["--to=onxx", f"--output={tmp_path}"])
