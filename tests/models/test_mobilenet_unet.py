"""The network without the library computes what the library's does, to the bit."""

import subprocess
import sys

import pytest
import torch

from fundusseg.models import SMPModel
from fundusseg.models.checkpoint import from_spec
from fundusseg.models.mobilenet_unet import MobileNetUNet, network_for_inference


@pytest.mark.slow
@pytest.mark.parametrize("channels", [[128, 64, 48, 32, 24], [16, 8, 8, 8, 4]])
def test_it_is_the_librarys_network(channels):
    theirs = SMPModel("Unet", "mobilenet_v2", out_channels=2, options={"decoder_channels": channels})
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # statistics that change something
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 2)
    ours = network_for_inference(theirs.spec)
    assert isinstance(ours, MobileNetUNet)
    ours.load_state_dict(theirs.state_dict())
    pixels = torch.randint(0, 256, (2, 3, 96, 64), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(ours.eval()(pixels), theirs.eval()(pixels))


@pytest.mark.parametrize(
    "change",
    [
        {"encoder": "resnet18"},
        {"architecture": "FPN", "options": {}},
        {"options": {"decoder_channels": [16, 8, 8, 8, 4], "decoder_attention_type": "scse"}},
        {"options": {}},
        {"in_channels": 1, "mean": [0.5], "std": [0.2]},
    ],
)
def test_any_other_is_the_librarys_own(change):
    given = {"options": {"decoder_channels": [16, 8, 8, 8, 4]}, "mean": [0.5] * 3, "std": [0.2] * 3, "out_channels": 1}
    usual = {"architecture": "Unet", "encoder": "mobilenet_v2", "in_channels": 3, "encoder_weights": None}
    spec = {"class_path": "fundusseg.models.SMPModel", "init_args": usual | given | change}
    assert isinstance(network_for_inference(spec), SMPModel)
    assert type(network_for_inference(from_spec(spec).spec)) is SMPModel


@pytest.mark.slow
def test_the_shipped_bundle_loads_without_the_library():
    code = (
        "import sys; from fundusseg.inference import Predictor; Predictor.pretrained();"
        "slow = ('timm', 'segmentation_models_pytorch', 'torchvision', 'lightning');"
        "print([name for name in slow if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
