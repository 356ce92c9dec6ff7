"""What is checked of merged datasets before a split is used: no eye and no photograph on two sides of it."""

from collections.abc import Sequence

from fundusseg.data.duplicate_cache import known_duplicates
from fundusseg.data.duplicates import Duplicate, drop_or_refuse, same_pictures
from fundusseg.data.splits import SUBSETS, Split
from fundusseg.data.torch_datasets import MergedStore
from fundusseg.datasets.base import FundusDataset
from fundusseg.datasets.same_eyes import same_eyes, same_eyes_error
from fundusseg.errors import DatasetError
from fundusseg.sample import Record


def refuse_same_eyes(datasets: Sequence[FundusDataset]) -> None:
    """Refuse two datasets that are declared to show some of the same eyes.

    Raises:
        DatasetError: There are two such.
    """
    for one, two in same_eyes(datasets):
        raise same_eyes_error(one, two)


def shared_photographs(
    store: MergedStore, records: Sequence[Record], split: Split, drop_from: Sequence[str]
) -> list[str]:
    """Keys of the pictures to leave out because another source or subset has them too.

    One that another subset has too leaves with all pictures of its patient, who would be on both sides otherwise.

    Args:
        store: The prepared pictures, in the order of the records.
        records: Of all datasets.
        split: What they are divided into; pictures that it has dropped already are not compared.
        drop_from: Sources whose picture of a pair is left out; earlier ones first.

    Raises:
        DatasetError: A pair of which neither picture is of such a source.
    """
    subset_of = {key: subset for subset in SUBSETS for key in split.keys(subset)}
    place = [(record.source, subset_of.get(record.key)) for record in records]

    def apart(one: int, two: int) -> bool:
        return None not in (place[one][1], place[two][1]) and place[one] != place[two]

    # A view follows the labelled disc: where masks were drawn anew, only the picture itself is the same.
    found = (*same_pictures(store.identities, apart), *known_duplicates(store, place, apart))
    # A pair that both find counts once. In order of position, as a picture that is dropped settles its later pairs.
    pairs = {(pair.first, pair.second): pair for pair in found}
    duplicates = [pairs[positions] for positions in sorted(pairs)]
    dropped, left = drop_or_refuse(duplicates, lambda position: place[position][0], drop_from)
    if left:
        raise _duplicates_error(left, records)
    two_subsets = [pair for pair in duplicates if place[pair.first][1] != place[pair.second][1]]
    # A split by image has a patient on both sides by intent: there the picture leaves alone.
    two_subsets = two_subsets if split.by == "patient" else []
    crossing = {position for pair in two_subsets for position in (pair.first, pair.second)} & {*dropped}
    patients = {(records[position].source, records[position].patient) for position in crossing}
    return [
        record.key
        for position, record in enumerate(records)
        if position in dropped or (place[position][1] and (record.source, record.patient) in patients)
    ]


def _duplicates_error(pairs: Sequence[Duplicate], records: Sequence[Record]) -> DatasetError:
    names = [f"{records[p.first].key} = {records[p.second].key}" for p in pairs]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return DatasetError(
        f"{len(pairs)} pairs of near-identical pictures: {', '.join(names[:5])}{more}",
        "each photograph in one source and one subset",
        "name the source to leave them out of with --data.drop_duplicates_from",
    )
