"""Photographs at addresses that fsspec knows: s3://BUCKET/FOLDER, gs://..., abfs://..., file://..."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from fundusseg.errors import ConfigurationError, FundusSegError, ImageError
from fundusseg.imaging.image_files import SUFFIXES, read_with_light
from fundusseg.imaging.photograph_files import HIDDEN, ending, is_hidden
from fundusseg.inference.capture import Capture
from fundusseg.inference.photograph_list import Photograph, PhotographList
from fundusseg.inference.run_journal import JournalEntry

SIGN = "://"
"""What an address has and a path has not."""


@contextmanager
def at_address(address: str) -> Iterator[None]:
    """Say in one sentence what an object store's library raises: that it is missing, or has no credentials.

    Raises:
        ConfigurationError: It did.
    """
    try:
        yield
    except FundusSegError:
        raise
    except Exception as error:  # each library has its own: botocore, google.auth, azure.core
        lines = str(error).strip().splitlines() or [""]
        raise ConfigurationError(
            f"an address that cannot be used: {address} ({type(error).__name__}: {lines[-1].strip().rstrip('.')})",
            "an address that exists, its library (s3fs, gcsfs, adlfs) and credentials on every machine",
            "install and configure them, or correct the address",
        ) from error


def list_addresses(addresses: Sequence[str]) -> tuple[PhotographList, dict[str, JournalEntry]]:
    """The photographs at some addresses, each a file or all below a folder, and what their journal says of them now.

    Known by their ending, as opening each would fetch it: DICOM files are passed over, and counted.

    Raises:
        ConfigurationError: An address cannot be used.
        ImageError: One names nothing, or two photographs have one name.
    """
    photographs: list[Photograph] = []
    now: dict[str, JournalEntry] = {}
    passed_over: dict[Path, str] = {}
    for address in addresses:
        with at_address(address):
            files, root = fsspec.core.url_to_fs(address)
            found = files.find(root, detail=True)
        count = len(photographs)
        for path, about in sorted(found.items()):
            name = PurePosixPath(path).relative_to(root) if path != root else PurePosixPath(PurePosixPath(path).name)
            where = files.unstrip_protocol(path)
            if why := _why_not(name):
                passed_over[Path(where)] = why
                continue
            photographs.append(Photograph(Path(where), name.with_suffix("").as_posix()))
            if photographs[-1].name in now:
                other = now[photographs[-1].name].path
                raise ImageError(f"two photographs of one name: {other} and {where}", "names that differ", "rename one")
            size, changed = int(about.get("size") or -1), _changed(about)
            now[photographs[-1].name] = JournalEntry(photographs[-1].name, where, size, changed, "", {})
        if len(photographs) == count:
            raise ImageError(f"no photograph at {address}", f"files ending in {sorted(SUFFIXES)}", "check the address")
    return PhotographList(photographs, passed_over), now


def read_address(address: str) -> Capture:
    """Read a photograph at an address.

    Raises:
        ImageError: It cannot be decoded.
    """
    with fsspec.open(address, "rb") as file, tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / PurePosixPath(address).name
        local.write_bytes(file.read())
        try:
            return Capture(*read_with_light(local))
        except ImageError as error:
            raise ImageError(error.got.replace(str(local), address), error.expected, error.do) from error


def _why_not(name: PurePosixPath) -> str:
    if any(is_hidden(part) for part in name.parts):
        return HIDDEN
    return "" if name.suffix.lower() in SUFFIXES else ending(Path(name))


def _changed(about: dict[str, Any]) -> int:
    """Nanoseconds, as each library calls them; -1 where it does not say."""
    value = next(
        (about[key] for key in ("mtime", "LastModified", "updated", "last_modified", "created") if key in about), -1
    )
    if isinstance(value, str):
        value = datetime.fromisoformat(value.replace("Z", "+00:00"))
    return int((value.timestamp() if isinstance(value, datetime) else value) * 10**9)
