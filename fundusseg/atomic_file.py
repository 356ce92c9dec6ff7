"""Whole files: written atomically, and known by the digest of their content."""

import hashlib
import os
import socket
from pathlib import Path


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
