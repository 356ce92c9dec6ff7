"""The network that tells right from left: a mirror image has the same logit with the other sign."""

import pytest
import torch

from fundusseg.models import EyeNetwork, count_parameters
from fundusseg.models.checkpoint import from_spec


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = EyeNetwork(image_size=64, width=4)
    for _ in range(30):  # batch norm takes the pictures' statistics: untrained, every logit would be almost 0
        network(pictures())
    return network.eval()


def pictures(count=3, size=64):
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_a_mirror_image_is_the_other_eye(network):
    logits = network(pictures())
    assert logits.shape == (3, 1, 1, 1) and (logits.abs() > 1e-4).all()
    assert torch.allclose(network(pictures().flip(-1)), -logits, atol=1e-6)


def test_what_looks_alike_from_both_sides_says_nothing(network):
    both = torch.cat([pictures(size=64)[..., :32], pictures(size=64)[..., :32].flip(-1)], dim=-1)
    assert network(both).abs().max() < 1e-5
    assert network(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)).item() == 0


def test_light_and_colour_of_the_field_do_not_matter(network):
    dim = pictures() // 4 + 40
    assert torch.allclose(network(dim + 60), network(dim), atol=1e-4)


def test_it_is_small_and_built_again_from_its_spec(network):
    assert max(count_parameters(EyeNetwork())) < 40_000
    again = from_spec(network.spec).eval()
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(pictures()), network(pictures()))
