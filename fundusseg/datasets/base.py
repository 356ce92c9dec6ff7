"""What every dataset reader shares: find the files, pair them, decode one sample."""

import copy
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Self

from fundusseg.errors import DatasetError, EmptyMaskError, OrphanError
from fundusseg.imaging.image_files import read_photograph
from fundusseg.sample import Annotation, Image, Record, Region, Sample

MAX_DEPTH = 8
"""Folders below the root that are searched: enough for every published layout and one parent above it."""


class FundusDataset(ABC):
    """One public dataset on disk. The folder is read when ``records`` is first asked for, pixels by ``load``.

    Class attributes:
        source: Name of the dataset in splits, metrics and tables.
        regions: Regions that the dataset labels.
        licence: Terms of use, in the publisher's words or short.
        citation: The paper, with DOI or arXiv number.
        layout: What the reader looks for, in words a user can check the folder against.

    Args:
        root: The folder that the public package unpacks to, or its parent. A relative one is taken below the
            data module's ``root``.
    """

    source: str
    regions: tuple[Region, ...]
    licence: ClassVar[str]
    citation: ClassVar[str]
    nested_experts: ClassVar[bool] = False
    """Annotations are levels of agreement: that of all experts may be empty."""
    layout: ClassVar[str]

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def under(self, parent: str | Path) -> Self:
        """The same dataset with its relative root taken below ``parent``; an absolute root stays."""
        moved = copy.copy(self)
        for name in list(moved.__dict__):
            if isinstance(getattr(type(self), name, None), cached_property):
                del moved.__dict__[name]
        moved.root = Path(parent) / self.root
        return moved

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """Every file below the root, sorted; hidden files and folders are passed over.

        Raises:
            DatasetError: The folder is not there.
        """
        if not self.root.is_dir():
            raise DatasetError(
                f"no folder at {self.root} for {type(self).__name__}",
                self.layout,
                "check the path, or set --data.root to the folder that holds the datasets",
            )
        found = []
        for folder, folders, names in os.walk(self.root, followlinks=True):
            depth = len(Path(folder).relative_to(self.root).parts)
            folders[:] = sorted(f for f in folders if not f.startswith(".")) if depth < MAX_DEPTH else []
            found += [Path(folder) / name for name in names if not name.startswith(".")]
        return tuple(sorted(found))

    def match(self, pattern: str) -> dict[Path, re.Match[str]]:
        """Files whose path below the root ends in ``pattern`` (a regular expression, letter case ignored).

        The pattern starts at a folder's or file's name and ends at the path's end, so a parent folder serves
        as root.
        """
        regex = re.compile(rf"(?:^|/)(?:{pattern})$", re.IGNORECASE)
        hits = ((path, regex.search(path.relative_to(self.root).as_posix())) for path in self.files)
        return {path: hit for path, hit in hits if hit}

    def find(self, pattern: str, fold: Callable[[str], str] = str) -> list[tuple[str, Path]]:
        """Key and file of each match.

        Args:
            pattern: As for ``match``; its first group is the key.
            fold: What is done to the key: ``str.upper`` where files of one picture may differ in letter case.
        """
        return [(fold(hit[1]), path) for path, hit in self.match(pattern).items()]

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """One record for each picture, sorted by name.

        Raises:
            DatasetError: No picture was found, two share a name, or a file has no counterpart.
        """
        records = tuple(sorted(self.index(), key=lambda record: record.name))
        if not records:
            raise DatasetError(
                f"no picture of {type(self).__name__} below {self.root}",
                self.layout,
                "give the folder that the dataset's own package unpacks to",
            )
        for one, two in pairwise(records):
            if one.name == two.name:
                raise DatasetError(
                    f"two pictures named {one.name!r} in {type(self).__name__}: {one.image} and {two.image}",
                    "one picture for each name",
                    "remove one of them, or give a folder that holds the dataset once",
                )
        return records

    @abstractmethod
    def index(self) -> list[Record]:
        """List the pictures and their annotation files, nothing decoded."""

    @abstractmethod
    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Decode one picture's annotations, each of ``shape`` (height, width)."""

    def remark(self) -> str:
        """What a user should know of how the files were read; empty where the class says it all."""
        return ""

    def photograph(self, record: Record) -> Image:
        """Decode one picture: its file as it is, where the dataset does not say otherwise."""
        return read_photograph(record.image)

    def load(self, record: Record) -> Sample:
        """Decode one picture and its annotations.

        Raises:
            ImageError: The picture or a mask cannot be decoded.
            DatasetError: A mask has another size than the picture, codes that the dataset does not define, or
                nothing marked: a missing label is never an empty mask.
        """
        image = self.photograph(record)
        annotations = self.annotate(record, image.shape[:2])
        for annotation in annotations:
            if annotation.mask.shape != image.shape[:2]:
                raise mask_size_error(record, annotation.region, annotation.mask.shape, image.shape[:2])
        for region in record.regions:
            marked = [annotation.mask.any() for annotation in annotations if annotation.region == region]
            if not (any(marked) if self.nested_experts else marked and all(marked)):
                raise empty_mask_error(record, region)
        return Sample(record, image, tuple(annotations))

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, position: int) -> Sample:
        return self.load(self.records[position])


def mask_size_error(record: Record, what: str, got: tuple[int, ...], expected: tuple[int, ...]) -> DatasetError:
    """A mask that was not drawn on this picture."""
    files = ", ".join(str(file) for file in record.files.values())
    return DatasetError(
        f"a {what} mask of {got[1]} x {got[0]} pixels for {record.image} ({files})",
        f"the picture's own {expected[1]} x {expected[0]} pixels",
        "restore the mask that belongs to this picture",
    )


def empty_mask_error(record: Record, region: Region) -> EmptyMaskError:
    """A region that the dataset labels, without one marked pixel."""
    files = ", ".join(str(file) for file in record.files.values())
    return EmptyMaskError(
        f"no {region} pixel marked for {record.image} ({files})",
        f"a mask in which the {region} is marked",
        "restore the mask, or remove the picture",
    )


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
        raise OrphanError(
            f"a {what} without its {counterpart}: {names}{more}",
            f"one {counterpart} for each {what}, matched by name",
            f"add the missing {counterpart}, or remove the {what}",
        )
