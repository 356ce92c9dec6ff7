"""The files below a dataset's folder, and which of them are known to be no part of it."""

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from unicodedata import normalize
from urllib.parse import unquote

from fundusseg.imaging.image_files import SUFFIXES
from fundusseg.imaging.photograph_files import UNREADABLE, walk

PICTURES = SUFFIXES | {".dcm"}
"""Endings, in lower case, of files that a user would call a picture."""

LEFTOVERS = {"leftovers of file managers": r"(?:^|/)(?:Thumbs\.db|desktop\.ini|[^/]*:Zone\.Identifier)"}
"""What lies in any folder: kind, and a pattern of the path below the root."""

STRAYS = LEFTOVERS | {
    "drawings on photographs": (
        r"(?:^|/)(?:(?:ImagesWithContours|Disc_Cup_Fovea_Illustration)/.*|Opht_cont_[^/]*\.jpe?g)"
    ),
    "cropped, squared or painted-over copies": (
        r"(?:^|/)(?:(?:[^/]*[_ ](?:cropped|squared?)|NerveRemoved_?(?:Images)?)/.*|[^/]*_(?:Cropped|Square)\.[a-z]+)"
    ),
}
"""What lies in copies of the public packages: renditions of the same names, never the photographs themselves."""

_SECOND_COPY = re.compile(r"(.+?)(?: \d+| \(\d+\)| - copy(?: \(\d+\))?)(\.\w+)", re.IGNORECASE)
"""``NAME 2.txt``, ``NAME (1).txt``, ``NAME - Copy.txt``: a file manager's name for NAME.txt once more."""

SECOND_COPIES = "second copies"
NOT_LISTED = "folders that cannot be listed"


def is_picture(path: Path) -> bool:
    """Whether the file's ending is a picture's."""
    return path.suffix.lower() in PICTURES


def sort_out(root: Path, strays: Mapping[str, str], copies: bool) -> dict[str, list[Path]]:
    """List every file below a folder by what it is known to be.

    Args:
        root: The dataset's folder.
        strays: Kind and pattern (a regular expression of the path below the root, letter case ignored).
        copies: Whether a second copy beside its first is a stray.

    Returns:
        Files of each kind, sorted; under ``""`` those that are no stray. Hidden files that are no pictures are not
        listed: programs keep thousands of them.
    """
    content = walk(root)
    present = {str(path).lower() for path in content.files}
    patterns = {kind: re.compile(f"(?:{pattern})$", re.IGNORECASE) for kind, pattern in strays.items()}
    kinds: dict[str, list[Path]] = {"": []}
    for path in content.files:
        name = path.relative_to(root).as_posix()
        kind = next((kind for kind, pattern in patterns.items() if pattern.search(name)), "")
        copy = _SECOND_COPY.fullmatch(path.name) if copies and not kind else None
        if copy and str(path.with_name(copy[1] + copy[2])).lower() in present:
            kind = SECOND_COPIES
        kinds.setdefault(kind, []).append(path)
    for path, why in content.passed_over.items():
        if why == UNREADABLE or is_picture(path):
            kinds.setdefault(NOT_LISTED if why == UNREADABLE else "hidden pictures", []).append(path)
    return kinds


def plain_name(path: Path, root: Path) -> str:
    """A file's path below the root, copies' accidents mended: ``X/X/a.jpg`` is ``X/a.jpg``, ``A.%20B`` is ``A. B``.

    Names are in the composed form of Unicode (NFC), with ``/`` between them.
    """
    parts = [normalize("NFC", unquote(part)) for part in path.relative_to(root).parts]
    kept = [part for part, after in pairwise([*parts, ""]) if part.lower() != after.lower()]
    return "/".join(kept)


def some(files: Iterable[Path], root: Path, shown: int = 2) -> str:
    """Name the first few files: ``"a.jpg, b.jpg and 3 more"``."""
    names = sorted(path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path) for path in files)
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
