"""Who is trained on, who chooses the model, who is tested: deterministic, by patient, saved as JSON."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from fundusseg.errors import ConfigurationError, DatasetError
from fundusseg.sample import Record, Subset

SUBSETS: tuple[Subset, ...] = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Split:
    """The keys (``source/name``) of every subset.

    Attributes:
        train: What the weights are fitted to.
        val: What chooses the checkpoint and the thresholds.
        test: What is reported, touched by nothing else.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]

    def keys(self, subset: Subset) -> tuple[str, ...]:
        """The keys of one subset."""
        return {"train": self.train, "val": self.val, "test": self.test}[subset]

    def select(self, records: Iterable[Record], subset: Subset) -> list[Record]:
        """The records of one subset, in their own order."""
        wanted = set(self.keys(subset))
        return [record for record in records if record.key in wanted]

    def as_dict(self) -> dict[str, list[str]]:
        """Plain lists, for JSON and checkpoints."""
        return {name: list(keys) for name, keys in asdict(self).items()}

    @classmethod
    def from_dict(cls, content: Any) -> Self:
        """Undo `as_dict`.

        Raises:
            ConfigurationError: The content is not three lists of keys.
        """
        try:
            return cls(**{subset: tuple(str(key) for key in content[subset]) for subset in SUBSETS})
        except (KeyError, TypeError) as error:
            raise ConfigurationError(
                "a split without the lists train, val and test",
                "what a run writes as split.json",
                "give the split.json of a run, or leave --data.split out to draw one",
            ) from error

    def save(self, path: str | Path) -> None:
        """Write as JSON."""
        Path(path).write_text(json.dumps(self.as_dict(), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ConfigurationError: No such file, or not a split.
        """
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"a split file that cannot be read: {path}", "JSON written by a run", "check --data.split"
            ) from error

    def check(self, records: Sequence[Record]) -> None:
        """Refuse a split that does not belong to these records, or that shares a patient.

        Raises:
            DatasetError: A record is missing on either side, or a patient stands in two subsets.
        """
        known = {record.key for record in records}
        listed = {key for subset in SUBSETS for key in self.keys(subset)}
        for strays, where in ((listed - known, "not in the datasets"), (known - listed, "not in the split")):
            if strays:
                raise DatasetError(
                    f"{len(strays)} pictures {where}, such as {min(strays)}",
                    "the very pictures that the split was made of",
                    "restore the data, or leave --data.split out to draw a new split",
                )
        _refuse_shared_patients(records, self)


def draw_split(
    records: Sequence[Record],
    *,
    val: float = 0.15,
    test: float = 0.2,
    seed: int = 0,
    folds: int | None = None,
    fold: int = 0,
) -> Split:
    """Divide every source by patient.

    A patient's place in the order is a hash of seed, source and patient, so that a dataset added or left out moves
    nobody of another. Without folds, a publisher's own test set stays the test set.

    Args:
        records: Of all sources.
        val: Share of the patients that are not tested, for choosing the model.
        test: Share of all patients, where the publisher set none apart and no folds are asked for.
        seed: Another seed, another division.
        folds: Number of cross-validation folds; the publishers' division is then put aside.
        fold: Which fold is tested, 0 to ``folds - 1``.

    Raises:
        ConfigurationError: A share or a fold is out of range.
        DatasetError: A publisher's division shares a patient.
    """
    _check_shares(val, test, folds, fold)
    subset_of: dict[str, Subset] = {}
    by_source: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_source[record.source].append(record)
    for group in by_source.values():
        official = folds is None and any(record.subset == "test" for record in group)
        place = _official(group) if official else {}
        rest = _patients([record for record in group if record.key not in place], seed)
        count = len(rest)
        if folds is not None:
            tested = set(rest[fold::folds])
        else:
            tested = set() if official else set(rest[: round(test * count) or (1 if count > 2 and test else 0)])
        free = [patient for patient in rest if patient not in tested]
        chosen = 0 if "val" in place.values() else round(val * len(free)) or (1 if len(free) > 1 and val else 0)
        held = set(free[:chosen])
        for record in group:
            drawn: Subset = "test" if record.patient in tested else "val" if record.patient in held else "train"
            subset_of[record.key] = place.get(record.key, drawn)
    split = Split(**{name: tuple(k for k, s in subset_of.items() if s == name) for name in SUBSETS})
    _refuse_shared_patients(records, split)
    return split


def unseen(records: Sequence[Record], known: Split) -> Split:
    """All pictures of patients that a run neither trained nor chose on, as a test set.

    Args:
        records: To be scored.
        known: The run's split.

    Raises:
        DatasetError: Nobody is left.
    """
    used = set(known.train) | set(known.val)
    patients = {(record.source, record.patient) for record in records if record.key in used}
    test = tuple(record.key for record in records if (record.source, record.patient) not in patients)
    if not test:
        raise DatasetError(
            f"{len(records)} pictures, each of a patient that the checkpoint was trained or chosen on",
            "patients that it has never seen",
            "give other data with --config, or train with a larger --data.test_share",
        )
    return Split((), (), test)


def _check_shares(val: float, test: float, folds: int | None, fold: int) -> None:
    for name, share in (("val_share", val), ("test_share", test)):
        if not 0 <= share < 1:
            raise ConfigurationError(f"{name} = {share}", "a share from 0 to below 1", f"change --data.{name}")
    if folds is not None and not (folds >= 2 and 0 <= fold < folds):
        raise ConfigurationError(
            f"fold {fold} of {folds} folds",
            "at least 2 folds, numbered from 0",
            "change --data.fold or --data.folds",
        )


def _official(group: Sequence[Record]) -> dict[str, Subset]:
    """The publisher's test pictures, and its validation pictures where it has both."""
    return {record.key: record.subset for record in group if record.subset in ("test", "val")}


def _patients(records: Sequence[Record], seed: int) -> list[str]:
    """The patients in the order of their hashes."""
    hashes = {
        record.patient: hashlib.sha256(f"{seed}/{record.source}/{record.patient}".encode()).hexdigest()
        for record in records
    }
    return sorted(hashes, key=lambda patient: hashes[patient])


def _refuse_shared_patients(records: Sequence[Record], split: Split) -> None:
    seen: dict[tuple[str, str], Subset] = {}
    for subset in SUBSETS:
        for record in split.select(records, subset):
            first = seen.setdefault((record.source, record.patient), subset)
            if first != subset:
                raise DatasetError(
                    f"patient {record.patient} of {record.source} in both {first} and {subset}",
                    "each patient in one subset",
                    "correct the patient column, or leave the split to be drawn",
                )
