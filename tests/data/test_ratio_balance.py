from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fundusseg.data.ratio_balance import ratio_odds
from fundusseg.datasets import Phantom
from fundusseg.errors import ConfigurationError
from fundusseg.sample import CUP, DISC
from tests.support.two_phantoms import module

REGIONS = (DISC, CUP)


def ratios(dataset) -> np.ndarray:
    """Rows of the stored cup over rows of the disc; NaN where the cup is not labelled."""
    found = []
    for record in dataset.indices:
        disc, cup = (dataset.store.target(int(record), scored=True) > 127).any(1).sum(0)
        found.append(cup / disc if dataset.store.valid(int(record)).all() else np.nan)
    return np.array(found)


def test_an_eye_weighs_one_over_the_root_of_those_in_its_tenth(tmp_path):
    data = module(tmp_path)
    dataset = data.subsets["train"]
    odds, tenths = ratio_odds(dataset, REGIONS), np.floor(ratios(dataset) * 10)
    both = dataset.sample_sources == 0
    shared = Counter(tenths[both])
    assert len(shared) > 2 and max(shared.values()) > 1
    expected = np.array([1 / np.sqrt(shared[tenth]) for tenth in tenths[both]])
    np.testing.assert_allclose(odds[both], expected / expected.mean())
    assert (odds[~both] == 1).all() and (~both).sum() > 3


def test_no_cup_and_a_cup_as_large_as_the_disc_are_counted_with_their_neighbours():
    """Rows of the cup in a disc of 20; twice each, as with stored variants; the last picture shows no disc."""
    heights, repeats = [0, 1, 3, 17, 20, 10, None], 2
    truths = np.zeros((len(heights), 24, 4, 2), np.uint8)
    for truth, height in zip(truths, heights, strict=True):
        if height is not None:
            truth[:20, :, 0], truth[:height, :, 1] = 255, 255
    store = SimpleNamespace(target=lambda record, scored: truths[record], valid=lambda record: np.ones(2, bool))
    indices = np.repeat(np.arange(len(heights)), repeats)
    sources = np.zeros(len(indices), int)

    class Stored(SimpleNamespace):
        def __len__(self) -> int:
            return len(indices)

    odds = ratio_odds(Stored(store=store, indices=indices, sample_sources=sources), REGIONS).reshape(-1, repeats)
    assert (odds[:, 0] == odds[:, 1]).all()
    # 0, 0.05 and 0.15 stand together, 0.85 and 1 too, 0.5 alone.
    rare = np.array([3, 3, 3, 2, 2, 1]) ** -0.5
    np.testing.assert_allclose(odds[:6, 0], rare / rare.mean())
    assert odds[6, 0] == 1


def test_the_order_of_the_regions_does_not_matter(tmp_path):
    there, back = (module(tmp_path, regions=regions).subsets["train"] for regions in (REGIONS, REGIONS[::-1]))
    np.testing.assert_array_equal(ratio_odds(there, REGIONS), ratio_odds(back, REGIONS[::-1]))


def test_a_batch_holds_more_of_the_rare_and_each_source_its_share(tmp_path):
    plain, balanced = (
        module(tmp_path, balance_ratios=on, source_weights={"both": 3, "disc_only": 1}, samples_per_epoch=400)
        for on in (False, True)
    )
    dataset = balanced.subsets["train"]
    tenths = dict(zip(dataset.indices.tolist(), np.floor(ratios(dataset) * 10), strict=True))
    most = Counter(tenth for tenth in tenths.values() if np.isfinite(tenth)).most_common(1)[0][0]

    def common(data) -> tuple[int, int]:
        drawn = torch.cat([batch["index"] for batch in data.train_dataloader()]).tolist()
        return sum(tenths[index] == most for index in drawn), sum(np.isnan(tenths[index]) for index in drawn)

    (before, disc_only), (after, still) = common(plain), common(balanced)
    assert after < 0.9 * before
    assert disc_only == still == 100


@pytest.mark.parametrize(
    "options",
    [
        {"regions": ["disc"]},
        {"datasets": [Phantom(count=8, size=96, name=region, regions=(region,)) for region in REGIONS]},
    ],
)
def test_what_has_no_ratio_is_not_balanced(tmp_path, options):
    with pytest.raises(ConfigurationError, match=r"balance_ratios with regions .*; expected disc and cup, and eyes"):
        module(tmp_path, balance_ratios=True, **options)
