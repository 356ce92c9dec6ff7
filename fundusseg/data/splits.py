"""Who is trained on, who chooses the model, who is tested: deterministic, by patient unless told, saved as JSON."""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, get_args

from fundusseg.atomic_file import write_whole
from fundusseg.data.identity import Identity
from fundusseg.errors import ConfigurationError, DatasetError
from fundusseg.plain_types import require_types
from fundusseg.sample import Record, Subset

SUBSETS: tuple[Subset, ...] = ("train", "val", "test")

SplitBy: TypeAlias = Literal["patient", "image"]
"""What is never in two subsets. Images by themselves are how many published tables were made, and flatter them."""


_BY_KEY = ("patients", "files", "pixels", "perceptual_hashes")


@dataclass(frozen=True, slots=True)
class Split:
    """The keys (``source/name``) of every subset.

    Attributes:
        train: What the weights are fitted to.
        val: What chooses the checkpoint and the thresholds.
        test: What is reported, touched by nothing else.
        dropped: What is left out because another source or subset shows the same photograph.
        patients: Patient (``source/patient``) of each picture, by key.
        files: Digest of each picture's files, by key; empty where it is not known.
        by: What is kept together: all images of a patient, or each image by itself.
        pixels: Digest of each decoded picture, by key; empty where it is not known. See `fundusseg.data.identity`.
        perceptual_hashes: Perceptual hash of each decoded picture, by key; empty where it is not known.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    dropped: tuple[str, ...] = ()
    patients: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    by: SplitBy = "patient"
    pixels: dict[str, str] = field(default_factory=dict)
    perceptual_hashes: dict[str, str] = field(default_factory=dict)

    @property
    def protocol(self) -> str:
        """How the split was made, for the caption of a table."""
        if self.by == "image":
            return "split by image: images of one patient may be on both sides"
        return "split by patient"

    @property
    def digest(self) -> str:
        """SHA-256 of everything that the split says, so that two runs can be seen to share it.

        With names and without it is the same, once the pictures have been decoded.
        """
        content = self.anonymous() if self.pixels else self
        return hashlib.sha256(json.dumps(content.as_dict(), sort_keys=True).encode()).hexdigest()

    def keys(self, subset: Subset) -> tuple[str, ...]:
        """The keys of one subset."""
        return {"train": self.train, "val": self.val, "test": self.test}[subset]

    def select(self, records: Iterable[Record], subset: Subset) -> list[Record]:
        """The records of one subset, in their own order."""
        wanted = set(self.keys(subset))
        return [record for record in records if record.key in wanted]

    def without(self, keys: Iterable[str]) -> "Split":
        """The same split with some pictures left out."""
        out = set(keys)
        train, val, test = (tuple(key for key in self.keys(subset) if key not in out) for subset in SUBSETS)
        return replace(self, train=train, val=val, test=test, dropped=tuple(sorted({*self.dropped, *out})))

    def anonymous(self) -> "Split":
        """The same split without names: what a checkpoint says of its pictures to whoever has it.

        A picture is called by the digest of its decoded pixels, which nobody finds by trying out names as a hash of a
        name or of a patient's number could be; a patient by the digest of the digests of his or her pictures. In an
        older split, which has none of pixels, a picture is called by the digest of its files. A picture without any
        digest keeps its name and its patient's: nothing else would tell that it was trained on.
        """
        digests = {**self.files, **self.pixels}
        names = {key: f"{_source(key)}/{digests[key]}" if key in digests else key for key in self.listed}
        kept = {self.patients.get(key, key) for key in self.listed if key not in digests}
        pictures: dict[str, list[str]] = defaultdict(list)
        for key in self.listed:
            pictures[self.patients.get(key, key)].append(names[key])
        persons = {
            patient: f"{_source(keys[0])}/{hashlib.sha256(''.join(sorted(keys)).encode()).hexdigest()[:16]}"
            for patient, keys in pictures.items()
        } | {patient: patient for patient in kept}
        train, val, test, dropped = (
            tuple(names[key] for key in keys) for keys in (self.train, self.val, self.test, self.dropped)
        )
        patients = {names[key]: persons[self.patients.get(key, key)] for key in self.listed}
        files, pixels, hashes = (
            {names[key]: known[key] for key in self.listed if key in known}
            for known in (self.files, self.pixels, self.perceptual_hashes)
        )
        return Split(train, val, test, dropped, patients, files, self.by, pixels, hashes)

    @property
    def listed(self) -> tuple[str, ...]:
        """All keys, those that are left out too."""
        return (*self.train, *self.val, *self.test, *self.dropped)

    def identified(self, identities: Mapping[str, Identity]) -> "Split":
        """The same split with what each of its pictures is recognised by.

        Args:
            identities: By key, of all its pictures at least.
        """
        listed = {key: identities[key] for key in sorted(self.listed)}
        files = {key: identity.files for key, identity in listed.items()}
        pixels = {key: identity.pixels for key, identity in listed.items()}
        hashes = {key: identity.perceptual_hash for key, identity in listed.items()}
        return replace(self, files=files, pixels=pixels, perceptual_hashes=hashes)

    def as_dict(self) -> dict[str, Any]:
        """Plain lists and strings, for JSON and checkpoints."""
        content: dict[str, Any] = {subset: list(self.keys(subset)) for subset in SUBSETS}
        content |= {"dropped": list(self.dropped), "by": self.by}
        return content | {name: dict(getattr(self, name)) for name in _BY_KEY}

    @classmethod
    def from_dict(cls, content: Any) -> Self:
        """Undo `as_dict`.

        Raises:
            ConfigurationError: The content is not three lists of keys, or a hash is none.
        """
        try:
            by = content.get("by", "patient")  # all older ones are
            _check_by(by)
            subsets = {subset: tuple(str(key) for key in content[subset]) for subset in SUBSETS}
            split = cls(
                subsets["train"],
                subsets["val"],
                subsets["test"],
                tuple(content.get("dropped", ())),
                by=by,
                **{name: dict(content.get(name, {})) for name in _BY_KEY},
            )
            require_types(split)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigurationError(
                "a split without the lists train, val and test",
                "what a run writes as split.json",
                "give the split.json of a run, or leave --data.split out to draw one",
            ) from error
        _check_hashes(split.perceptual_hashes)
        return split

    def save(self, path: str | Path) -> None:
        """Write as JSON, atomically."""
        write_whole(Path(path), (json.dumps(self.as_dict(), indent=1) + "\n").encode())

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
            DatasetError: A record is missing on either side, or stands in two subsets, or its patient does and the
                split is not one by image.
        """
        known = {record.key for record in records}
        listed = set(self.listed)
        for strays, where in ((listed - known, "not in the datasets"), (known - listed, "not in the split")):
            if strays:
                raise DatasetError(
                    f"{len(strays)} pictures {where}, such as {min(strays)}",
                    "the very pictures that the split was made of",
                    "restore the data, or leave --data.split out to draw a new split",
                )
        _refuse_shared(records, self)

    def check_files(self, digests: Mapping[str, str]) -> None:
        """Refuse a split whose pictures or annotations have changed since.

        Args:
            digests: Digest of each picture's files, by key.

        Raises:
            DatasetError: A digest differs.
        """
        changed = sorted(key for key, digest in self.files.items() if digests.get(key, digest) != digest)
        if changed:
            raise DatasetError(
                f"{len(changed)} pictures whose files changed since the split was made, such as {changed[0]}",
                "the very files that the split was made of",
                "restore the files, or leave --data.split out to draw a new split",
            )


def draw_split(
    records: Sequence[Record],
    *,
    val: float = 0.15,
    test: float = 0.2,
    seed: int = 0,
    folds: int | None = None,
    fold: int = 0,
    test_sources: Sequence[str] = (),
    by: SplitBy = "patient",
) -> Split:
    """Divide every source by patient, each diagnosis in proportion.

    Within a diagnosis a patient's place is a hash of seed, source and patient, so that a dataset added or left out
    moves nobody of another. Without folds, a publisher's own test and validation sets stay what they are.

    Args:
        records: Of all sources.
        val: Share of the patients that are not tested, for choosing the model.
        test: Share of the patients, where the publisher set none apart and no folds are asked for.
        seed: Another seed, another division.
        folds: Number of cross-validation folds; the publishers' division is then put aside.
        fold: Which fold is tested, 0 to ``folds - 1``.
        test_sources: Sources that are tested whole; then nobody of the others is (leave one source out).
        by: ``image`` takes every image as if it were of a patient of its own.

    Raises:
        ConfigurationError: A share, a fold, a source or ``by`` is out of range.
        DatasetError: A publisher's division shares a patient, and the split is by patient.
    """
    _check_by(by)
    patients = {record.key: record.patient_key for record in records}
    # After `patients`, which goes on saying whose picture each is.
    if by == "image":
        records = [replace(record, patient=record.name) for record in records]
    by_source: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_source[record.source].append(record)
    _check_shares(val, test, folds, fold, test_sources, by_source)
    subset_of: dict[str, Subset] = {}
    place: dict[str, Subset]
    tested: list[str]
    for source, group in by_source.items():
        if test_sources:
            place, tested = {record.key: "test" for record in group if source in test_sources}, []
        elif folds is not None:
            place, tested = {}, _patients(group, seed)[fold::folds]
        else:
            place, tested = _published(group, seed, test)
        # Among those left: val is a share of the patients that are not tested.
        free = [record for record in group if record.key not in place and record.patient not in tested]
        held = [] if "val" in place.values() else _every(_patients(free, seed), val)
        for record in group:
            drawn: Subset = "test" if record.patient in tested else "val" if record.patient in held else "train"
            subset_of[record.key] = place.get(record.key, drawn)
    train, chosen, last = (tuple(key for key, subset in subset_of.items() if subset == name) for name in SUBSETS)
    split = Split(train, chosen, last, patients=patients, by=by)
    _refuse_shared(records, split)
    return split


def _published(group: Sequence[Record], seed: int, test: float) -> tuple[dict[str, Subset], list[str]]:
    """A source's pictures that its publisher set apart, and the patients who are tested where none was for a test."""
    place: dict[str, Subset] = {record.key: record.subset for record in group if record.subset in ("test", "val")}
    if "test" in place.values():
        return place, []
    return place, _every(_patients([record for record in group if record.key not in place], seed), test)


def _check_by(by: str) -> None:
    if by not in get_args(SplitBy):
        raise ConfigurationError(f"a split by {by!r}", f"one by {' or '.join(get_args(SplitBy))}", "correct it")


def _check_hashes(hashes: Mapping[str, str]) -> None:
    # They are compared as one array: one of another length would shift all that follow.
    broken = [key for key, value in hashes.items() if value and not re.fullmatch("[0-9a-f]{64}", value)]
    if broken:
        raise ConfigurationError(
            f"a split whose perceptual hash of {broken[0]} is {hashes[broken[0]]!r}",
            "64 hexadecimal digits, or nothing",
            "give the split.json or the checkpoint as the run wrote it",
        )


def _check_shares(
    val: float,
    test: float,
    folds: int | None,
    fold: int,
    test_sources: Sequence[str],
    sources: Iterable[str],
) -> None:
    for name, share in (("val_share", val), ("test_share", test)):
        if not 0 <= share < 1:
            raise ConfigurationError(f"{name} = {share}", "a share from 0 to below 1", f"change --data.{name}")
    if folds is not None and not (folds >= 2 and 0 <= fold < folds):
        raise ConfigurationError(
            f"fold {fold} of {folds} folds", "at least 2 folds, numbered from 0", "change --data.fold or --data.folds"
        )
    known = set(sources)
    if unknown := sorted(set(test_sources) - known):
        raise ConfigurationError(f"test_sources {unknown}", f"some of {sorted(known)}", "change --data.test_sources")
    if test_sources and folds is not None:
        raise ConfigurationError("both folds and test_sources", "one of them", "leave out one")


def _source(key: str) -> str:
    return key.split("/", 1)[0]


_SEVERITY = ("glaucoma", "suspect", "healthy", None)


def _patients(records: Sequence[Record], seed: int) -> list[str]:
    """The patients by diagnosis (the graver eye's) and then by their hashes.

    Whoever takes every n-th of them takes every n-th of each diagnosis.
    """
    order: dict[str, tuple[int, str]] = {}
    for record in records:
        digest = hashlib.sha256(f"{seed}/{record.patient_key}".encode()).hexdigest()
        place = (_SEVERITY.index(record.diagnosis), digest)
        order[record.patient] = min(place, order.get(record.patient, place))
    return sorted(order, key=lambda patient: order[patient])


def _every(patients: Sequence[str], share: float) -> list[str]:
    """A share of the patients, spread evenly over their order; at least one of several, and never all."""
    count = len(patients)
    wanted = min(max(round(share * count), 1 if share and count > 1 else 0), max(0, count - 1))
    return [patients[(2 * position + 1) * count // (2 * wanted)] for position in range(wanted)]


def _refuse_shared(records: Sequence[Record], split: Split) -> None:
    """Refuse a patient in two subsets; of a split by image, an image."""
    seen: dict[tuple[str, str], Subset] = {}
    for subset in SUBSETS:
        for record in split.select(records, subset):
            unit = record.patient if split.by == "patient" else record.name
            first = seen.setdefault((record.source, unit), subset)
            if first != subset:
                raise DatasetError(
                    f"{split.by} {unit} of {record.source} in both {first} and {subset}",
                    f"each {split.by} in one subset",
                    "correct the patient column, or leave the split to be drawn",
                )
