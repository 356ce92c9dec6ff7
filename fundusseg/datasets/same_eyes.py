"""Which public sets show the same eyes: crops and re-named copies, which no comparison of pixels knows again."""

from collections.abc import Collection, Iterator, Sequence
from itertools import combinations

import fundusseg.datasets as readers
from fundusseg.datasets.base import FundusDataset
from fundusseg.errors import DatasetError


def public_readers() -> Iterator[type[FundusDataset]]:
    """Every reader of a public set."""
    for reader in (getattr(readers, name) for name in dir(readers)):
        if isinstance(reader, type) and issubclass(reader, FundusDataset) and reader.url:
            yield reader


def same_eyes(datasets: Sequence[FundusDataset]) -> list[tuple[FundusDataset, FundusDataset]]:
    """Pairs of datasets that show some of the same eyes, as either of the two declares it."""
    return [
        (one, two)
        for one, two in combinations(datasets, 2)
        if one.source in two.same_eyes_as or two.source in one.same_eyes_as
    ]


def same_eyes_error(one: FundusDataset, two: FundusDataset) -> DatasetError:
    """Two datasets that must not be merged: crops and re-named photographs are not known again by their pixels."""
    return DatasetError(
        f"{one.source} and {two.source}, which show some of the same eyes",
        "each eye in one source, so that none is trained on and tested",
        "leave one of the two out",
    )


def shared_with(dataset: FundusDataset, sources: Collection[str]) -> set[str]:
    """Sources, known by their names alone, that may show some of a dataset's eyes.

    Args:
        dataset: Any.
        sources: Names, as of what a network was trained on; the dataset's own does not count.
    """
    declared = {reader.source for reader in public_readers() if dataset.source in reader.same_eyes_as}
    return (declared | dataset.same_eyes_as) & set(sources) - {dataset.source}
