"""The folder of prepared samples: where it lies, whether there is room, and what is no longer asked for."""

import errno
import json
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fundusseg.atomic_file import is_abandoned, make_folder, write_whole
from fundusseg.errors import ConfigurationError

KEPT_DAYS = 30
"""Days after which `prune` removes a store that nobody has opened."""

_DAY = 86_400.0
_PARTIAL = re.compile(r"\..+-[0-9a-f]{16}-(?:(?P<host>.+)-(?P<process>\d+)-)?\w{8}")
_STORE = re.compile(r".+-[0-9a-f]{16}")


def default_folder() -> Path:
    """Where stores are kept when the user says nothing.

    The user's own cache folder; where there is no home (a container's is often ``/`` or none) or it cannot be written
    to, one of this user in the system's folder for temporary files.

    Raises:
        ConfigurationError: Nothing can be written to.
    """
    given = os.environ.get("XDG_CACHE_HOME")
    places = [Path(given)] if given else []
    with suppress(RuntimeError):  # there is no home
        places += [Path.home() / ".cache"] if Path.home() != Path(Path.home().anchor) else []
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
    places.append(Path(tempfile.gettempdir()) / f"fundusseg-{user}")
    for place in places[:-1]:
        with suppress(ConfigurationError):
            return make_folder(place / "fundusseg", "prepared samples", "--data.cache_dir")
    return make_folder(places[-1] / "fundusseg", "prepared samples", "--data.cache_dir, or XDG_CACHE_HOME")


@contextmanager
def partial_folder(folder: Path) -> Iterator[Path]:
    """A folder beside a store's own, to be renamed when it is whole; nothing is left of it otherwise."""
    prefix = f".{folder.name}-{socket.gethostname()}-{os.getpid()}-"
    partial = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def clear_partial(parent: Path) -> None:
    """Remove what killed builds have left: those of this machine's dead processes, and any of a day ago."""
    for path in parent.iterdir():
        if (found := _PARTIAL.fullmatch(path.name)) and path.is_dir():
            here, process = found["host"] == socket.gethostname(), int(found["process"] or 0)
            if is_abandoned(path, here, process):
                shutil.rmtree(path, ignore_errors=True)


def reserve(files: Iterable[tuple[Path, int]], parent: Path) -> None:
    """Take the room that files will fill: a mapped file on a full disk ends the process without a word.

    Args:
        files: Each with its bytes; they exist and may have holes.
        parent: The folder of all stores, for the sentence.

    Raises:
        ConfigurationError: There is not so much.
    """
    files = list(files)
    needed, free = sum(size for _, size in files), shutil.disk_usage(parent).free
    with full_disk(parent, needed):
        if needed > free:
            raise OSError(errno.ENOSPC, "")
        # Where the system cannot reserve, the comparison above is all there is.
        for path, size in files if hasattr(os, "posix_fallocate") else ():
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, size)


@contextmanager
def full_disk(parent: Path, needed: int) -> Iterator[None]:
    """Say how much a store needs, and how much there is, where writing it fills the disk."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ConfigurationError(
            f"{shutil.disk_usage(parent).free:,} bytes free for prepared samples in {parent}",
            f"{needed:,} bytes",
            "make room (`prepare --prune true` removes stores out of use), or set --data.cache_dir to another disk",
        ) from error


def note_use(store: Path, code: str) -> None:
    """Note that a store was opened, and what code it is of; in a folder that is read-only nothing is noted."""
    note = store / "used.json"
    with suppress(OSError):
        if note.exists():
            os.utime(note)
        else:
            write_whole(note, json.dumps({"code": code}).encode())


def prune(parent: Path, keep: Iterable[Path], code: str) -> tuple[int, int]:
    """Remove stores that nothing asks for: of other code than today's, or not opened for `KEPT_DAYS` days.

    Args:
        parent: The folder of all stores.
        keep: Stores that stay in any case.
        code: Digest of today's code.

    Returns:
        Stores and bytes removed.
    """
    removed = size = 0
    kept = {path.resolve() for path in keep}
    clear_partial(parent)
    for path in parent.glob("duplicates-*.json"):
        if time.time() - path.stat().st_mtime > KEPT_DAYS * _DAY:
            path.unlink(missing_ok=True)
    for path in [*parent.iterdir()]:
        # A store by name and by content: the folder may hold what is not ours to remove.
        if path.resolve() in kept or not (_STORE.fullmatch(path.name) and (path / "hashes.npy").is_file()):
            continue
        if _is_used(path / "used.json", code):
            continue
        size += sum(file.stat().st_size for file in path.iterdir())
        removed += 1
        shutil.rmtree(path, ignore_errors=True)
    return removed, size


def _is_used(note: Path, code: str) -> bool:
    try:
        recent = time.time() - note.stat().st_mtime < KEPT_DAYS * _DAY
        return bool(recent and json.loads(note.read_text())["code"] == code)
    except (OSError, ValueError, KeyError):
        return False
