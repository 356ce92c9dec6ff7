"""Whole files: written atomically, in a folder that can be written to, and known by the digest of their content."""

import hashlib
import os
import re
import socket
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from fundusseg.errors import ConfigurationError

_PARTIAL = re.compile(r"\..+\..+-(\d+)\.partial")
_DAY = 86_400.0


def write_whole(path: Path, content: bytes, partial: Path | None = None) -> None:
    """Write a file atomically: a killed run leaves it whole or not at all.

    Args:
        path: The file; its folder is made when it is missing.
        content: What it will hold.
        partial: Where it is written first, on the same disk; by default beside the file, under a name of this process's
            own, as several machines may write the same file at once. What killed processes have left of theirs is
            removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if partial is None:
        clear_partial_files(path.parent.absolute())
        partial = path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@cache
def clear_partial_files(folder: Path) -> None:
    """Remove what killed processes were writing in a folder; once in a process, as it may hold very many files."""
    for path in folder.iterdir():
        if found := _PARTIAL.fullmatch(path.name):
            here = path.name.endswith(f".{socket.gethostname()}-{found[1]}.partial")
            if is_abandoned(path, here, int(found[1])):
                with suppress(OSError):  # another was first
                    path.unlink()


def is_abandoned(path: Path, here: bool, process: int) -> bool:
    """Whether nobody writes a partial file or folder any more.

    Args:
        path: It.
        here: Whether a process of this machine began it: then it is abandoned when that has ended, else after a day.
        process: The process.
    """
    if here and not _lives(process):
        return True
    with suppress(OSError):
        return time.time() - path.stat().st_mtime > _DAY
    return False


def _lives(process: int) -> bool:
    if os.name == "nt":  # the question would end it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits; read in parts, as checkpoints are large."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folder(path: Path, what: str, setting: str) -> Path:
    """Make a folder and try it, before hours of work that could not be written.

    Args:
        path: The folder.
        what: It is for, for the sentence.
        setting: Where the user can name another.

    Raises:
        ConfigurationError: It cannot be written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"a folder that cannot be written to: {path} ({error.strerror})", f"a place for {what}", f"set {setting}"
        ) from error
    return path
