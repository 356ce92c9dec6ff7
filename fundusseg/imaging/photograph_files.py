"""Which files lie below a folder: one walk for photographs to measure and for datasets to learn from."""

import heapq
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

HIDDEN = "hidden"
"""Why a file is passed over that a system or a program keeps for itself: caches, thumbnails, deleted files."""

UNREADABLE = "unreadable folder"
NO_ENDING = "no ending"

_SYSTEM_FOLDERS = frozenset(
    {"@eadir", "#recycle", "@recycle", "$recycle.bin", "__macosx", "lost+found", "system volume information"}
)
"""What network storage, Windows and macOS put beside a user's files; names that begin with a dot are hidden anyway
(``.ipynb_checkpoints``, ``.Trash-1000``, ``.AppleDouble``, ``._NAME``)."""


@dataclass(frozen=True, slots=True)
class FolderContent:
    """The files below a folder.

    Attributes:
        files: Those asked for, sorted.
        passed_over: Every other file with the reason: its ending in lower case, `NO_ENDING`, `HIDDEN` or, for a folder
            that cannot be listed, `UNREADABLE`.
    """

    files: tuple[Path, ...]
    passed_over: dict[Path, str]


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is no user's own.

    >>> [is_hidden(name) for name in ("._eye.jpg", "@eaDir", "eye.jpg")]
    [True, True, False]
    """
    return name.startswith(".") or name.lower() in _SYSTEM_FOLDERS


def ending(path: Path) -> str:
    """A file's ending in lower case, or `NO_ENDING`."""
    return path.suffix.lower() or NO_ENDING


def walk(
    root: Path, endings: Collection[str] | None = None, skip: Callable[[Path], bool] = lambda folder: False
) -> FolderContent:
    """List every file below a folder, none twice and none in silence.

    Linked folders are followed, each once: a link back to a parent ends there. Hidden, trash and thumbnail folders are
    not searched for files to take; what lies in them is passed over. A linked file counts even where its target is
    gone, so that reading it says so.

    Args:
        root: The folder; it may itself be hidden.
        endings: File endings to take, in lower case with their dot; None takes all.
        skip: Folders to leave out without a word.
    """
    files: list[Path] = []
    passed_over: dict[Path, str] = {}
    folders: list[tuple[Path, bool]] = [(root, False)]
    links: list[Path] = []
    seen: set[str] = set()
    while folders or links:
        # Links wait until all real folders are read: what is found both ways keeps its own path.
        folder, hidden = folders.pop() if folders else (heapq.heappop(links), False)
        identity = os.path.realpath(folder)
        if identity in seen or skip(folder):
            continue
        seen.add(identity)
        try:
            entries = list(os.scandir(folder))
        except OSError:
            passed_over[folder] = UNREADABLE
            continue
        for entry in entries:
            path, aside = folder / entry.name, hidden or is_hidden(entry.name)
            is_folder = os.path.isdir(path)  # noqa: PTH112 - False where a link's target may not be looked at
            if is_folder and not entry.is_symlink():
                folders.append((path, aside))
            elif is_folder and not aside:
                heapq.heappush(links, path)
            elif aside:
                passed_over[path] = HIDDEN
            elif (endings is None or ending(path) in endings) and (entry.is_symlink() or entry.is_file()):
                files.append(path)
            else:
                passed_over[path] = ending(path)
    return FolderContent(tuple(sorted(files)), dict(sorted(passed_over.items())))
