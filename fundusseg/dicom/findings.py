"""What was found in one photograph, in plain types, and what found it: all that SEG and SR are made of."""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import UID

from fundusseg.sample import Eye, Region

MANUFACTURER = "fundusseg"


@dataclass(frozen=True, slots=True)
class Algorithm:
    """What found it.

    Attributes:
        name: Of the bundle or checkpoint.
        version: Of fundusseg.
        digest: SHA-256 of the bundle's file.
    """

    name: str
    version: str
    digest: str


@dataclass(frozen=True, eq=False, slots=True)
class Findings:
    """What was found in one frame.

    Attributes:
        masks: Of each region that was found, H x W bool; the disc with the cup in it.
        outlines: Of each region that was found, (N, 2) x and y, whole numbers at pixel centres.
        ratios: Of `codes.RATIOS`; what is undefined is not there.
        verdict: ``accept``, ``review`` or ``reject``.
        reasons: Why not ``accept``.
        eye: Right (OD), left (OS), or None where nobody knows.
        frame: Of the photograph's file, counted from 0.
    """

    masks: Mapping[Region, npt.NDArray[np.bool_]]
    outlines: Mapping[Region, npt.NDArray[np.float64]]
    ratios: Mapping[str, float] = field(default_factory=dict)
    verdict: str = ""
    reasons: tuple[str, ...] = ()
    eye: Eye | None = None
    frame: int = 0

    def digest(self, algorithm: Algorithm) -> str:
        """The same for the same findings of the same algorithm."""
        content = hashlib.sha256(repr((algorithm, sorted(self.ratios.items()), self.verdict)).encode())
        content.update(repr((self.reasons, self.eye, self.frame)).encode())
        for name, mask in sorted(self.masks.items()):
            content.update(name.encode() + np.packbits(mask).tobytes())
        for name, outline in sorted(self.outlines.items()):
            content.update(name.encode() + np.asarray(outline, np.float32).tobytes())
        return content.hexdigest()


def derived_uid(*parts: str) -> UID:
    """A UID that follows from its parts alone: ``2.25.`` and a UUID (PS3.5 B.2), of SHA-256.

    Marked as version 5, a UUID of names, by every Python alike: archives know objects by their UIDs, which must never
    change. RFC 9562 has version 8 for other digests than SHA-1; X.667, to which DICOM refers, knows none.

    >>> derived_uid("a", "b") == derived_uid("a", "b") != derived_uid("ab", "")
    True
    """
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return UID(f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}")


def replace_made_up_uids(dataset: Dataset, prefix: str, *parts: str) -> None:
    """Derive what a library makes up by chance: each UID of its prefix becomes one that follows from ``parts``.

    The same one becomes the same one, wherever it stands.
    """
    known: dict[str, UID] = {}

    def visit(_: Dataset, element: object) -> None:
        value = getattr(element, "value", None)
        if getattr(element, "VR", "") == "UI" and isinstance(value, str) and value.startswith(prefix):
            known.setdefault(value, derived_uid(*parts, f"made up {len(known)}"))
            element.value = known[value]  # type: ignore[attr-defined]

    dataset.walk(visit)
