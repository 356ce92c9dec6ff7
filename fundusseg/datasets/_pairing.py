"""Pairs pictures and annotation files by key; what stands on one side alone is named."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from fundusseg.errors import DatasetError, OrphanError


def keyed(what: str, files: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    """Files by key, none lost.

    Args:
        what: The files' name for the message, ``"cup mask"``.
        files: Key and file.

    Raises:
        DatasetError: Two files share a key; both are named.
    """
    found: dict[str, Path] = {}
    for key, path in files:
        if key in found:
            raise DatasetError(
                f"two files for the {what} of {key!r}: {found[key]} and {path}",
                f"one {what} for each picture",
                "remove one of them, or give a folder that holds the dataset once",
            )
        found[key] = path
    return found


def pair(
    pictures: Mapping[str, Path], labels: Mapping[str, tuple[str, Iterable[tuple[str, Path]]]]
) -> dict[str, dict[str, Path]]:
    """Pair pictures and annotation files by key.

    Args:
        pictures: Picture by key.
        labels: Of each kind, by its name in ``Record.files``: what messages call it, ``"cup mask"``, and key and file
            of each.

    Returns:
        Of each picture, by its key: the annotation files by kind.

    Raises:
        DatasetError: Two files of a kind share a key, or a file on either side has no counterpart; the first few are
            named.
    """
    files: dict[str, dict[str, Path]] = {key: {} for key in pictures}
    for kind, (what, found) in labels.items():
        labelled = keyed(what, found)
        _refuse_orphans("picture", pictures, what, labelled)
        _refuse_orphans(what, labelled, "picture", pictures)
        for key, path in labelled.items():
            files[key][kind] = path
    return files


def _refuse_orphans(what: str, files: Mapping[str, Path], counterpart: str, others: Mapping[str, Path]) -> None:
    """Refuse files whose key stands on one side alone."""
    orphans = sorted(set(files) - set(others))
    if orphans:
        names = ", ".join(str(files[key]) for key in orphans[:3])
        more = f" and {len(orphans) - 3} more" if len(orphans) > 3 else ""
        error = OrphanError(
            f"a {what} without its {counterpart}: {names}{more}",
            f"one {counterpart} for each {what}, matched by name",
            f"add the missing {counterpart}, or remove the {what}",
        )
        error.paired = len(files) - len(orphans)
        raise error
