"""The generalized U-Net against the published parameter counts and its definition."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import nn

from fundusseg.errors import ConfigurationError
from fundusseg.models import UNet, count_parameters
from fundusseg.models.unet import level_widths

torch.set_num_threads(1)


@pytest.mark.parametrize(
    "start, depth, growth, batch_norm, up_conv, total, trainable",
    [
        (64, 4, 2.0, False, True, 31_031_745, 31_031_745),
        (64, 4, 2.0, True, False, 34_536_897, None),
        (64, 5, 1.6, True, False, 22_257_685, None),
        (72, 6, 1.2, True, False, 5_650_715, 5_644_215),
        (64, 6, 1.1, True, False, 2_389_538, None),
    ],
)
def test_published_parameter_counts(
    start: int, depth: int, growth: float, batch_norm: bool, up_conv: bool, total: int, trainable: int | None
) -> None:
    with torch.device("meta"):
        network = UNet(
            out_channels=1,
            start_channels=start,
            depth=depth,
            growth_rate=growth,
            batch_norm=batch_norm,
            up_conv=up_conv,
        )
    counted = count_parameters(network)
    assert counted[0] == total
    assert trainable is None or counted[1] == trainable


def test_widths_are_cut_at_every_level() -> None:
    assert level_widths(72, 6, 1.2) == [72, 86, 103, 123, 147, 176, 211]


@pytest.mark.parametrize("height, width", [(8, 8), (24, 40), (16, 8)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_pool": False},
        {"up_conv": False},
        {"residual": True},
        {"residual": True, "max_pool": False, "up_conv": False, "batch_norm": False, "dropout": 0.5},
    ],
)
def test_logits_have_the_size_of_the_picture(height: int, width: int, options: dict[str, bool]) -> None:
    network = UNet(in_channels=2, out_channels=3, start_channels=3, depth=3, growth_rate=1.5, **options)  # type: ignore[arg-type]
    logits = network(torch.zeros(2, 2, height, width, dtype=torch.uint8))
    assert logits.shape == (2, 3, height, width)
    assert network.divisor == 8


def test_default_is_small() -> None:
    assert count_parameters(UNet())[0] < 500_000
    assert UNet().divisor == 8


def test_parts_have_the_names_of_the_field() -> None:
    assert [name for name, _ in UNet(start_channels=2, depth=1).named_children()] == [
        "encoder",
        "decoder",
        "segmentation_head",
    ]


def test_no_parameter_is_left_out_of_the_gradient() -> None:
    network = UNet(start_channels=2, depth=2, max_pool=False, up_conv=False, residual=True)
    network(torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_batch_norm_follows_the_activation() -> None:
    block = UNet(start_channels=2, depth=1).encoder.blocks[0].layers  # type: ignore[union-attr, index]
    assert [type(layer) for layer in block] == [nn.Conv2d, nn.ReLU, nn.BatchNorm2d] * 2


def test_dropout_is_in_the_bottom_block_between_its_convolutions() -> None:
    network = UNet(start_channels=2, depth=2, dropout=0.3)
    assert [name for name, layer in network.named_modules() if isinstance(layer, nn.Dropout)] == [
        "encoder.blocks.2.layers.3"
    ]
    assert network.encoder.blocks[2].layers[3].p == 0.3  # type: ignore[union-attr, index]


def test_strided_convolution_has_no_activation_and_transposed_has() -> None:
    network = UNet(start_channels=2, depth=1, max_pool=False, up_conv=False, activation="elu", batch_norm=False)
    down, up = network.encoder.downs[0], network.decoder.ups[0]  # type: ignore[union-attr, index]
    assert not any(isinstance(layer, nn.ELU) for layer in down)
    assert isinstance(up[-1], nn.ELU)


def test_residual_concatenates() -> None:
    network = UNet(start_channels=4, depth=1, residual=True)
    block = network.encoder.blocks[0]  # type: ignore[union-attr, index]
    x = torch.randn(1, 3, 4, 4)
    assert torch.equal(block(x)[:, :3], x)
    assert block(x).shape[1] == 3 + 4
    assert network.segmentation_head.in_channels == (3 + 4) + 4 + 4


def test_skip_comes_before_up() -> None:
    network = UNet(start_channels=2, depth=1, batch_norm=False)
    first = network.decoder.blocks[0].layers[0]  # type: ignore[union-attr, index]
    seen: list[torch.Tensor] = []
    first.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    features = network.encoder(network.normalise(torch.full((1, 3, 4, 4), 200.0)))
    network.decoder(features)
    assert torch.equal(seen[0][:, :2], features[0])


def test_initialisation_is_keras() -> None:
    torch.manual_seed(0)
    network = UNet(start_channels=32, depth=1, up_conv=False)
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            fans = (layer.in_channels + layer.out_channels) * layer.kernel_size[0] * layer.kernel_size[1]
            bound = (6 / fans) ** 0.5
            assert layer.weight.abs().max() <= bound
            assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.2)
            assert layer.bias is not None and not layer.bias.any()
        if isinstance(layer, nn.BatchNorm2d):
            assert (layer.eps, layer.momentum) == (1e-3, 0.1)


@pytest.mark.slow
def test_it_learns_a_bright_square() -> None:
    torch.manual_seed(0)
    image = torch.randint(0, 100, (4, 3, 16, 16), dtype=torch.uint8)
    target = torch.zeros(4, 1, 16, 16)
    for number in range(4):
        image[number, :, number : number + 6, 4:10] += 120
        target[number, :, number : number + 6, 4:10] = 1
    network = UNet(out_channels=1, start_channels=4, depth=2)
    optimiser = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(40):
        loss = nn.functional.binary_cross_entropy_with_logits(network(image), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    wrong = (network.eval()(image) > 0) != target.bool()
    assert wrong.float().mean() < 0.01


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        ({"depth": 0}, "depth 0"),
        ({"depth": 10**12}, "depth 10{12}; expected 1 to 12"),
        ({"start_channels": 0}, "start_channels 0"),
        ({"out_channels": 0}, "out_channels 0"),
        ({"dropout": 1.0}, "dropout 1.0"),
        ({"growth_rate": 0.1}, "growth_rate 0.1"),
        ({"activation": "rleu"}, "try 'relu'"),
        ({"padding": "vaild"}, "try 'valid'"),
        ({"padding": "valid", "max_pool": False}, "max_pool False"),
        ({"padding": "valid", "up_conv": False}, "up_conv False"),
    ],
)
def test_wrong_settings(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        UNet(**wrong)  # type: ignore[arg-type]


STEPS_ON_XLA = """
import torch, torch_xla
from torch_xla.debug import metrics
from fundusseg.training.losses import *
from fundusseg.models import IsbiUNet, UNet

device = torch_xla.device()
dices = [DiceLoss(), DiceLoss(squared=True), LogDiceLoss("batch")]
loss = WeightedSum([BCELoss(), FocalLoss(), JaccardLoss(), TverskyLoss(), *dices])
networks = (
    UNet(start_channels=2, depth=1),
    UNet(start_channels=2, depth=1, max_pool=False, up_conv=False, residual=True, dropout=0.2),
    IsbiUNet(start_channels=2, depth=1, out_channels=2),
)
for network in networks:
    network = network.to(device)
    optimiser = torch.optim.SGD(network.parameters(), 0.01)
    for step in range(6):
        image = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8).to(device)
        target, valid = torch.rand(2, 2, 8, 8).to(device), (torch.rand(2, 2) > step / 5).to(device)
        optimiser.zero_grad()
        loss(network(image), target, valid).backward()
        optimiser.step()
        torch_xla.sync()
        if step == 1:
            compiled = metrics.metric_data("CompileTime")[0]
    assert metrics.metric_data("CompileTime")[0] == compiled, "a later step compiled again"
fallen = [name for name in metrics.counter_names() if name.startswith("aten::")]
assert not fallen, fallen
"""


@pytest.mark.skipif(find_spec("torch_xla") is None, reason="torch_xla is not installed (pip install fundusseg[xla])")
@pytest.mark.slow
def test_networks_and_losses_stay_on_xla() -> None:
    """Nothing falls back to the host, and labels that come and go compile nothing new. In a process of its own."""
    environment = {"PJRT_DEVICE": "CPU", "OMP_NUM_THREADS": "1", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", STEPS_ON_XLA],
        capture_output=True,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_library_is_imported_at_its_first_use() -> None:
    code = (
        "import sys, fundusseg.models as models\n"
        "assert not {'segmentation_models_pytorch', 'timm'} & set(sys.modules)\n"
        "models.SMPModel"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
