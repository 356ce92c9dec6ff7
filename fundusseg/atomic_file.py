"""Whole files: written atomically, in a folder that can be written to, and known by the digest of their content."""

import hashlib
import os
import socket
import tempfile
from pathlib import Path

from fundusseg.errors import ConfigurationError


def write_whole(path: Path, content: bytes, partial: Path | None = None) -> None:
    """Write a file atomically: a killed run leaves it whole or not at all.

    Args:
        path: The file; its folder is made when it is missing.
        content: What it will hold.
        partial: Where it is written first, on the same disk; by default beside the file, under a name of this process's
            own, as several machines may write the same file at once.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial or path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


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
