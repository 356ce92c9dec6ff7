"""What networks have seen in training: data leakage into a held-out score is refused, or marked."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from fundusseg.data.identity import Identity
from fundusseg.data.splits import Split
from fundusseg.sample import Record

Seen: TypeAlias = Literal["no", "source", "patient", "unknown"]
"""Nothing of it; other patients of its source; the patient or the very file; a network does not say."""

MARKS: dict[Seen, str] = {
    "no": "",
    "source": "source seen in training",
    "patient": "patients seen in training",
    "unknown": "not known whether seen in training",
}
"""In the words of the tables."""


PERCEPTUAL_DISTANCE = 14
"""Bits of 256 in which the perceptual hashes of one photograph differ at most after it was saved or resized anew.

Of 1,362 real photographs of nine datasets one pair of 926,841 was within 15, and that one was a photograph that stands
there twice; 89 of them saved as JPEG down to quality 40 or resized down to a quarter came to at most 10.
"""


class KnownPictures:
    """Pictures that a split names, found again by name, by files, by decoded pixels and by perceptual hash.

    Args:
        pictures: Splits, each with those of its keys that count.
    """

    def __init__(self, pictures: Sequence[tuple[Split, Sequence[str]]]) -> None:
        listed = [(split, key) for split, keys in pictures for key in keys]
        self.keys = {key for _, key in listed}
        # Without "", what is not known: two pictures of which nothing is known are not the same.
        self.files = {split.files[key] for split, key in listed if key in split.files} - {""}
        self.pixels = {split.pixels[key] for split, key in listed if key in split.pixels} - {""}
        hashes = [split.perceptual_hashes[key] for split, key in listed if key in split.perceptual_hashes]
        self._hashes = hash_bits(hashes)

    def hold(self, key: str, identity: Identity) -> bool:
        """Whether a picture is among them.

        Args:
            key: Its ``source/name``.
            identity: Its digests; those that are empty are not looked at.
        """
        if key in self.keys or identity.files in self.files or identity.pixels in self.pixels:
            return True
        if not identity.perceptual_hash or not len(self._hashes):
            return False
        distances = np.bitwise_count(self._hashes ^ hash_bits([identity.perceptual_hash])).sum(axis=1)
        return bool(distances.min() <= PERCEPTUAL_DISTANCE)


def hash_bits(hashes: Sequence[str]) -> npt.NDArray[np.uint64]:
    """Perceptual hashes as N x 4 uint64."""
    return np.frombuffer(bytes.fromhex("".join(hashes)), np.uint64).reshape(-1, 4)


class SeenPatients:
    """All that networks were trained on, and their checkpoints chosen on.

    Args:
        splits: Of each network and of what it was trained on before, a localiser's too; None where a network does not
            say.
    """

    def __init__(self, splits: Sequence[Split | None]) -> None:
        known = [split for split in splits if split is not None]
        self.complete = len(known) == len(splits)
        # What was left out of a split is shown in another picture of it.
        used = [(split, (*split.train, *split.val, *split.dropped)) for split in known]
        apart = [(split, keys) for split, keys in used if split.by == "patient"]
        self.sources = {key.split("/", 1)[0] for split in known for key in (*split.train, *split.val)}
        self._pictures, self._pictures_apart = KnownPictures(used), KnownPictures(apart)
        self.patients = {split.patients.get(key, key) for split, keys in used for key in keys}
        self._kept_apart = {split.patients.get(key, key) for split, keys in apart for key in keys}

    def meet(self, records: Iterable[Record], identities: Mapping[str, Identity]) -> None:
        """Take note of the patients of whom a picture is recognised: a shared checkpoint names no patient.

        Args:
            records: All that are there, the patients' other pictures too.
            identities: By key.
        """
        for record in records:
            if self._pictures.hold(record.key, identities[record.key]):
                self.patients.add(record.patient_key)
            if self._pictures_apart.hold(record.key, identities[record.key]):
                self._kept_apart.add(record.patient_key)

    @property
    def files(self) -> set[str]:
        """Digests of the files that were seen."""
        return self._pictures.files

    def mark(self, record: Record, identity: Identity) -> Seen:
        """What of a picture is known already."""
        # What is certain first: a network that does not say makes no known patient unknown.
        if record.patient_key in self.patients or self._pictures.hold(record.key, identity):
            return "patient"
        if not self.complete:
            return "unknown"
        return "source" if record.source in self.sources else "no"

    def forbids(self, record: Record, identity: Identity) -> bool:
        """Whether scoring this picture breaks a split: its patient, or where a split is by image, it itself."""
        return record.patient_key in self._kept_apart or self._pictures.hold(record.key, identity)
