"""What networks have seen in training, so that no score passes a known picture off as new."""

from collections.abc import Sequence
from typing import Literal

from fundusseg.sample import Record
from fundusseg.splits import Split

Seen = Literal["no", "source", "patient", "unknown"]
"""Nothing of it; other patients of its source; the patient or the very file; a network does not say."""

MARKS: dict[Seen, str] = {
    "no": "",
    "source": "source seen in training",
    "patient": "patients seen in training",
    "unknown": "not known whether seen in training",
}
"""In the words of the tables."""


class Exposure:
    """Everybody whom a network was trained on, or its checkpoint chosen on.

    Args:
        splits: Of each network, a localiser's too; None where a network does not say.
    """

    def __init__(self, splits: Sequence[Split | None]) -> None:
        known = [split for split in splits if split is not None]
        self.complete = len(known) == len(splits)
        used = [(split, key) for split in known for key in (*split.train, *split.val)]
        left_out = [(split, key) for split in known for key in split.dropped]
        self.sources = {key.split("/", 1)[0] for _, key in used}
        self.patients = {split.patients.get(key, key) for split, key in used + left_out}
        self.files = {split.files[key] for split, key in used + left_out if key in split.files}

    def of(self, record: Record, digest: str) -> Seen:
        """What of a picture is known already.

        Args:
            record: The picture.
            digest: Of its files, which tell it whatever its source is called now.
        """
        if f"{record.source}/{record.patient}" in self.patients or digest in self.files:
            return "patient"
        if not self.complete:
            return "unknown"
        return "source" if record.source in self.sources else "no"
