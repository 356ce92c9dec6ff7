"""What networks have seen in training: data leakage into a held-out score is refused, or marked."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

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


class SeenPatients:
    """All that networks were trained on, and their checkpoints chosen on.

    Args:
        splits: Of each network, a localiser's too; None where a network does not say.
    """

    def __init__(self, splits: Sequence[Split | None]) -> None:
        known = [split for split in splits if split is not None]
        self.complete = len(known) == len(splits)
        used = [(split, key) for split in known for key in (*split.train, *split.val)]
        self.sources = {key.split("/", 1)[0] for _, key in used}
        # What was left out of a split is shown in another picture of it.
        used += [(split, key) for split in known for key in split.dropped]
        self.keys = {key for _, key in used}
        self.files = {split.files[key] for split, key in used if key in split.files}
        self.patients = {split.patients.get(key, key) for split, key in used}
        self._kept_apart = {split.patients.get(key, key) for split, key in used if split.by == "patient"}

    def mark(self, record: Record, digest: str) -> Seen:
        """What of a picture is known already.

        Args:
            record: The picture.
            digest: Of its files, which tell it whatever its source is called now.
        """
        if _patient(record) in self.patients or digest in self.files:
            return "patient"
        if not self.complete:
            return "unknown"
        return "source" if record.source in self.sources else "no"

    def forbids(self, record: Record, digest: str) -> bool:
        """Whether scoring this picture breaks a split: its patient, or where a split is by image, it itself."""
        return _patient(record) in self._kept_apart or record.key in self.keys or digest in self.files


def _patient(record: Record) -> str:
    return f"{record.source}/{record.patient}"
