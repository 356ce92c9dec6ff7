"""DICOM files opened with bounds: a damaged or hostile one ends in a sentence, never in all of the memory."""

import errno
import io
import logging
import os
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from fundusseg.errors import ImageError

Source: TypeAlias = str | Path | bytes
"""A file's path, or its content."""

LARGEST_INFLATED = 2**30
"""Bytes that a deflated file may hold; a thousandth of them suffices to write as many zeros."""

_MACHINE = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EAGAIN))
"""What went wrong with the machine, not with the file."""

# Archives hold many values that bend the standard. What matters here is checked here; the rest is no user's business.
logging.getLogger("pydicom").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="pydicom")


class Bounded(io.FileIO):
    """A file of which no more is asked than it holds: a length field of 4 GB is no reason to reserve them."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path, "rb")
        self.size = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """Read what is asked for, or what is left."""
        left = max(0, self.size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left)) or b""


@contextmanager
def opened(source: Source) -> Iterator[tuple[BinaryIO, Dataset]]:
    """Open a DICOM file and read all of it that stands before its pixels.

    Args:
        source: The file or its content, with or without the preamble that files have and bare datasets have not.

    Yields:
        The stream, which stands where the pixels begin (of a deflated file at its end), and the dataset.

    Raises:
        ImageError: There is no such file, it is no DICOM file or a damaged one; also what is raised inside, where that
            is no error of ours already.
        OSError: The machine has no room, or its disk fails: the file is not to blame.
    """
    if not isinstance(source, bytes) and not os.path.isfile(source):  # noqa: PTH113 - no error of a strange name
        raise ImageError(f"no file at {source}", "a DICOM file", "check the path")
    try:
        with stream_of(source) as stream:
            _check_inflated(stream)
            dataset = pydicom.dcmread(stream, stop_before_pixels=True, force=True)
            _say_encoding(dataset)
            yield stream, dataset
    except ImageError:
        raise
    except Exception as error:  # damaged bytes raise whatever the parser or a decoder meets first
        if isinstance(error, OSError) and error.errno in _MACHINE:
            raise
        raise undecodable(source, error) from error


def stream_of(source: Source) -> BinaryIO:
    """A file or its content, to be read within its bounds."""
    return cast(BinaryIO, io.BytesIO(source) if isinstance(source, bytes) else Bounded(source))


def called(source: Source) -> str:
    """What a message calls it."""
    return "a photograph in memory" if isinstance(source, bytes) else str(source)


def undecodable(source: Source, error: BaseException) -> ImageError:
    """One sentence for all that a parser or a decoder raises."""
    lines = str(error).strip().splitlines() or [""]
    reason = lines[-1].strip()[:160] or type(error).__name__
    return ImageError(
        f"a DICOM file that cannot be decoded ({reason}): {called(source)}",
        "a whole DICOM file of a fundus photograph",
        "send or copy it again from its archive, or remove it",
    )


def text(dataset: Dataset, keyword: str) -> str:
    """An element's value as text, empty where there is none; of several values the first."""
    return next(iter(texts(dataset, keyword)), "")


def texts(dataset: Dataset, keyword: str) -> list[str]:
    """Every value of an element as text, without blanks around it."""
    value: Any = dataset.get(keyword)
    if value is None or isinstance(value, bytes | Dataset):
        return []
    several = isinstance(value, list | tuple) or type(value).__name__ == "MultiValue"
    values = value if several else [value]
    return ["" if one is None else " ".join(str(one).replace("\0", "").split()) for one in values]


def _say_encoding(dataset: Dataset) -> None:
    """Give a bare dataset, which some archives keep without its file meta information, the encoding it was read in."""
    if "TransferSyntaxUID" in dataset.file_meta:
        return
    if "SOPClassUID" not in dataset:
        raise ValueError("it says neither what it is nor how it is encoded")
    implicit, little = dataset.original_encoding
    explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def _check_inflated(stream: BinaryIO) -> None:
    """Refuse a deflated file that would fill the memory; pydicom inflates it whole."""
    read_preamble(stream, force=True)
    # As dcmread itself finds it: a false length of the file meta information, or another order, hides nothing.
    syntax = _read_file_meta_info(stream).get("TransferSyntaxUID")
    if syntax == DeflatedExplicitVRLittleEndian:
        inflater, inflated = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while not inflater.eof and (chunk := inflater.unconsumed_tail or stream.read(1 << 20)):
            inflated += len(inflater.decompress(chunk, 1 << 20))
            if inflated > LARGEST_INFLATED:
                raise ValueError(f"it inflates to more than {LARGEST_INFLATED >> 20} MB")
    stream.seek(0)
