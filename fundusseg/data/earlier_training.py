"""A training that goes on from a checkpoint: its split is kept, and nothing that it has seen becomes a test."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fundusseg.data.identity import Identity
from fundusseg.data.seen_patients import KnownPictures
from fundusseg.data.splits import SUBSETS, Split
from fundusseg.errors import DatasetError
from fundusseg.sample import Record, Subset


@dataclass(frozen=True, slots=True)
class EarlierTraining:
    """What a network was trained and chosen on before.

    Attributes:
        split: Of the checkpoint that is started from.
        before: Splits of the trainings before that one.
        keep: Whether its split is taken: a run is continued, and no other split was asked for.
        complete: Whether all its pictures must be there: a run is continued.
    """

    split: Split
    before: tuple[Split, ...] = ()
    keep: bool = True
    complete: bool = True

    def apply(self, drawn: Split, records: Sequence[Record], identities: Mapping[str, Identity]) -> Split:
        """The split to train with.

        Args:
            drawn: The split that the settings give.
            records: All that are there.
            identities: By key.

        Raises:
            DatasetError: A picture of the continued run is missing, or one that it was trained or chosen on would now
                be validated or tested on.
        """
        found = _found(self.split, records, identities)
        listed = set(self.split.listed)
        if self.complete and (missing := listed - set(found)):
            raise DatasetError(
                f"{len(missing)} of {len(listed)} pictures of the continued run that are not in the datasets",
                "the very pictures that the checkpoint was trained, chosen and tested on",
                "restore the data, or begin a training of its own from these weights with --start_from",
            )
        split = _kept(self.split, found, drawn) if self.keep else drawn
        for earlier in (self.split, *self.before):
            refuse_seen(split, earlier, records, identities)
        return split


def _found(earlier: Split, records: Sequence[Record], identities: Mapping[str, Identity]) -> dict[str, list[str]]:
    """Keys of today's pictures by each key of an earlier split: several where a picture is there twice."""
    by_pixels: dict[str, list[str]] = defaultdict(list)
    for key in earlier.listed:
        by_pixels[earlier.pixels.get(key, "")].append(key)
    listed, found, left = set(earlier.listed), defaultdict(list), []
    for record in records:
        same = [record.key] if record.key in listed else by_pixels.get(identities[record.key].pixels, [])
        if same:
            # Of a photograph that stands in two sources each one's own; a renamed source takes the other.
            found[min(same, key=lambda key: (key.split("/", 1)[0] != record.source, key in found))].append(record.key)
        else:
            left.append(record.key)
    # Saved or decoded anew, a picture is known by its perceptual hash; few are left to be compared one by one.
    for key in sorted(listed - set(found)):
        known = KnownPictures([(earlier, [key])])
        if near := next((other for other in left if known.hold(other, identities[other])), None):
            left.remove(near)
            found[key].append(near)
    return found


def _kept(earlier: Split, found: Mapping[str, Sequence[str]], drawn: Split) -> Split:
    """The earlier split in today's names and its own order; new pictures go where their patient is, or as drawn."""
    place = {name: subset for subset in SUBSETS for key in earlier.keys(subset) for name in found.get(key, ())}
    dropped = {name for key in earlier.dropped for name in found.get(key, ())}
    of_patient = {drawn.patients[name]: subset for name, subset in place.items()} if earlier.by == "patient" else {}
    keys: dict[str, list[str]] = {subset: [] for subset in SUBSETS}
    for name, subset in place.items():
        keys[subset].append(name)
    for subset in SUBSETS:
        for name in drawn.keys(subset):
            if name not in place and name not in dropped:
                keys[of_patient.get(drawn.patients[name], subset)].append(name)
    train, val, test = (tuple(keys[subset]) for subset in SUBSETS)
    return replace(drawn, train=train, val=val, test=test, dropped=tuple(sorted(dropped)), by=earlier.by)


def refuse_seen(
    split: Split,
    earlier: Split,
    records: Sequence[Record],
    identities: Mapping[str, Identity],
    subsets: Sequence[Subset] = ("val", "test"),
) -> None:
    """Refuse to validate on what was trained on, and to test on what was trained or chosen on.

    Args:
        split: Of today.
        earlier: Of a training whose weights are taken.
        records: All that are there.
        identities: By key.
        subsets: What is validated or tested on.

    Raises:
        DatasetError: There is such a picture, or another one of its patient.
    """
    patients = {record.key: record.patient_key for record in records}
    seen_by: dict[Subset, tuple[Sequence[str], str]] = {
        "val": (earlier.train, "validated on, though the checkpoint was trained on them"),
        "test": ((*earlier.train, *earlier.val), "tested on, though the checkpoint was trained or chosen on them"),
    }
    for subset in subsets:
        keys, (used, what) = split.keys(subset), seen_by[subset]
        known = KnownPictures([(earlier, used)])
        seen = {key for key in patients if known.hold(key, identities[key])}
        persons = {patients[key] for key in seen} if split.by == earlier.by == "patient" else set()
        if wrong := sorted(key for key in keys if key in seen or patients[key] in persons):
            raise DatasetError(
                f"{len(wrong)} pictures {what}, such as {', '.join(wrong[:3])}",
                "the checkpoint's own split, which is taken where no other is asked for, or other patients",
                "leave out the settings of the split (--data.seed, .fold, .split, ...), or give pictures that are new",
            )
