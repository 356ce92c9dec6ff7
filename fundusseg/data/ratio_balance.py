"""Eyes of rare cup/disc ratios drawn more often, so that no network learns the common ratio in place of the cup."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fundusseg.data.torch_datasets import PreparedDataset
from fundusseg.errors import ConfigurationError
from fundusseg.measures.cup_disc import vertical_ratio
from fundusseg.measures.label_map import label_map_of_masks
from fundusseg.sample import CUP, DISC, Region

_LOWEST, _HIGHEST = 1, 8
"""Tenths of the ratio that are told apart: what lies below 0.1 and above 0.9 is counted with its neighbour."""


def check_balance(regions: Sequence[Region]) -> None:
    """Refuse to balance what has no ratio.

    Raises:
        ConfigurationError: Disc and cup are not both among the regions.
    """
    if not {DISC, CUP} <= set(regions):
        raise ConfigurationError(
            f"balance_ratios with regions {list(regions)}",
            "disc and cup, whose ratio is balanced",
            "leave out --data.balance_ratios, or give --data.regions '[disc, cup]'",
        )


def ratio_odds(dataset: PreparedDataset, regions: Sequence[Region]) -> npt.NDArray[np.float64]:
    """How often each sample is to be drawn beside the others of its source.

    Of n eyes of one source in the same tenth of the vertical cup/disc ratio each has odds of one over the root of n.

    Args:
        dataset: The samples.
        regions: Of the prepared masks, in their order.

    Returns:
        N floats above 0, with a mean of 1 within each source; 1 where disc or cup is not labelled.
    """
    records, place = np.unique(dataset.indices, return_inverse=True)
    ratios = np.array([_ratio(dataset, int(record), regions) for record in records])[place]
    odds = np.ones(len(dataset))
    for source in np.unique(dataset.sample_sources):
        chosen = np.flatnonzero((dataset.sample_sources == source) & np.isfinite(ratios))
        tenths = np.clip((ratios[chosen] * 10).astype(int), _LOWEST, _HIGHEST)
        rare = 1 / np.sqrt(np.bincount(tenths)[tenths])
        odds[chosen] = rare / rare.mean() if len(rare) else 1
    return odds


def _ratio(dataset: PreparedDataset, record: int, regions: Sequence[Region]) -> float:
    """Of what is scored against; NaN where disc or cup is not labelled, or no disc is drawn."""
    planes = {region: regions.index(region) for region in (DISC, CUP)}
    if not dataset.store.valid(record)[[*planes.values()]].all():
        return float("nan")
    truth = dataset.store.target(record, scored=True) > 127
    masks = {region: truth[..., plane] for region, plane in planes.items()}
    return vertical_ratio(label_map_of_masks(masks, (DISC, CUP)))
