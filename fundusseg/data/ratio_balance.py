"""Eyes of rare cup/disc ratios drawn more often, so that no network learns the common ratio in place of the cup."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from fundusseg.data.torch_datasets import PreparedDataset
from fundusseg.errors import ConfigurationError
from fundusseg.measures.cup_disc import vertical_ratio
from fundusseg.measures.label_map import label_map_of_masks
from fundusseg.sample import CUP, DISC, Record, Region

_LOWEST, _HIGHEST = 1, 8
"""Tenths of the ratio that are told apart: what lies below 0.1 and above 0.9 is counted with its neighbour."""


def check_balance(regions: Sequence[Region], records: Iterable[Record]) -> None:
    """Refuse to balance what has no ratio.

    Raises:
        ConfigurationError: Disc and cup are not both sought, or nowhere labelled together.
    """
    if not {DISC, CUP} <= set(regions) or not any({DISC, CUP} <= set(record.regions) for record in records):
        raise ConfigurationError(
            f"balance_ratios with regions {list(regions)}",
            "disc and cup, and eyes where both are labelled: their ratio is balanced",
            "leave out --data.balance_ratios, or give such data and --data.regions '[disc, cup]'",
        )


def ratio_odds(dataset: PreparedDataset, regions: Sequence[Region]) -> npt.NDArray[np.float64]:
    """How often each sample is to be drawn beside the others of its source.

    Of n eyes of one source in the same tenth of the vertical cup/disc ratio each has odds of one over the root of n.

    Args:
        dataset: The samples.
        regions: Of the prepared masks, in their order.

    Returns:
        N floats above 0, with a mean of 1 within each source; 1 where there is no ratio: disc or cup is not labelled,
        or no disc is drawn.
    """
    records, place = np.unique(dataset.indices, return_inverse=True)
    ratios = np.array([_ratio(dataset, int(record), regions) for record in records])[place]
    odds = np.ones(len(dataset))
    for source in np.unique(dataset.sample_sources):
        chosen = np.flatnonzero((dataset.sample_sources == source) & np.isfinite(ratios))
        tenths = np.clip((ratios[chosen] * 10).astype(int), _LOWEST, _HIGHEST)
        if len(chosen):
            rare = 1 / np.sqrt(np.bincount(tenths)[tenths])
            odds[chosen] = rare / rare.mean()
    return odds


def _ratio(dataset: PreparedDataset, record: int, regions: Sequence[Region]) -> float:
    """Of what is scored against; NaN where disc or cup is not labelled, or no disc is drawn."""
    labelled = dict(zip(regions, dataset.store.valid(record), strict=True))
    if not (labelled[DISC] and labelled[CUP]):
        return float("nan")
    truth = np.moveaxis(dataset.store.target(record, scored=True) > 127, -1, 0)
    masks = dict(zip(regions, truth, strict=True))
    return vertical_ratio(label_map_of_masks(masks, (DISC, CUP)))
