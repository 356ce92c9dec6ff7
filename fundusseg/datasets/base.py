"""What every dataset reader shares: find the files, pair them, count them, decode one sample."""

import copy
import os
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Self

from fundusseg.datasets._listing import NOT_LISTED, STRAYS, is_picture, plain_name, some, sort_out
from fundusseg.datasets._pairing import pair
from fundusseg.errors import DatasetError, EmptyMaskError, OrphanError
from fundusseg.imaging.image_files import read_photograph
from fundusseg.sample import CUP, Annotation, Image, Record, Region, Sample


class FundusDataset(ABC):
    """One public dataset on disk. The folder is read when ``records`` is first asked for, pixels by ``load``.

    Class attributes:
        source: Name of the dataset in splits, metrics and tables.
        regions: Regions that the dataset labels.
        licence: Terms of use, in the publisher's words or short.
        citation: The paper, with DOI or arXiv number.
        layout: What the reader looks for, in words a user can check the folder against.
        url: The publisher's page, where the set is to be had under its terms.
        published: Published number of pictures of each part; the parts are what `part` says. One part: of all.
        same_eyes_as: Sources that show some of the same eyes, in part or as a whole: never merged with them unseen.
        derived: Made of other public sets: where these lie there too, they are to be preferred.
        known: What lies in the package and is not read: kind, and a pattern as for `match`.

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
    may_be_empty: frozenset[Region] = frozenset()
    """Regions of which an empty mask is true: this eye has none."""
    layout: ClassVar[str]
    url: ClassVar[str] = ""
    published: ClassVar[Mapping[str, int]] = {}
    same_eyes_as: frozenset[str] = frozenset()
    derived: ClassVar[bool] = False
    signs: ClassVar[str] = ""
    """What some path must hold (a regular expression, case ignored) for a search to believe that this is the set, where
    its names alone could be anybody's; empty where they could not."""
    known: ClassVar[Mapping[str, str]] = {}
    strays: ClassVar[Mapping[str, str]] = STRAYS
    """Kinds of file that belong to no package, and their patterns: see ``_listing``."""
    second_copies: ClassVar[bool] = True
    """A file manager's ``NAME 2.txt`` beside ``NAME.txt`` is a stray."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def under(self, parent: str | Path) -> Self:
        """The same dataset with its relative root taken below ``parent``; an absolute root stays."""
        moved = copy.copy(self)
        # The copy holds the old root's listing and records in its cached properties.
        for name in list(moved.__dict__):
            if isinstance(getattr(type(self), name, None), cached_property):
                del moved.__dict__[name]
        moved.root = Path(parent) / self.root
        return moved

    @cached_property
    def _listing(self) -> dict[str, list[Path]]:
        """Every file below the root by kind of stray, ``""`` for none; hidden files and folders are passed over."""
        if not os.path.isdir(self.root):  # noqa: PTH112 - no error of a name that no folder can have
            get = f"; the set is to be had from {self.url} (terms: {self.licence})" if self.url else ""
            raise DatasetError(
                f"no folder at {self.root} for {type(self).__name__}",
                self.layout,
                f"check the path, or set --data.root to the folder that holds the datasets{get}",
            )
        return sort_out(self.root, self.strays, self.second_copies)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file below the root that is no stray, sorted.

        Raises:
            DatasetError: The folder is not there.
        """
        return tuple(self._listing[""])

    @cached_property
    def _names(self) -> dict[Path, str]:
        """Every file's path below the root, with a doubled folder once."""
        return {path: plain_name(path, self.root) for path in self.files}

    def match(self, pattern: str) -> dict[Path, re.Match[str]]:
        """Files whose path below the root ends in ``pattern`` (a regular expression, letter case ignored).

        The pattern starts at a folder's or file's name and ends at the path's end, so a parent folder serves
        as root. A folder that a copy doubled (``X/X``) counts once.
        """
        regex = re.compile(rf"(?:^|/)(?:{pattern})$", re.IGNORECASE)
        hits = ((path, regex.search(name)) for path, name in self._names.items())
        return {path: hit for path, hit in hits if hit}

    def find(self, pattern: str, fold: Callable[[str], str] = str) -> list[tuple[str, Path]]:
        """Key and file of each match.

        Args:
            pattern: As for ``match``; its first group is the key.
            fold: What is done to the key: ``str.upper`` where files of one picture may differ in letter case.
        """
        return [(fold(hit[1]), path) for path, hit in self.match(pattern).items()]

    @cached_property
    def left_out(self) -> dict[str, list[Path]]:
        """Pictures that `index` found and did not take, by the reason."""
        return {}

    def leave_out(self, why: str, files: Iterable[Path]) -> None:
        """Note pictures that are known and not taken, so that they are counted and said.

        Args:
            why: What they are, in the plural: ``"test photographs without masks"``.
            files: The pictures; none is nothing to note.
        """
        if found := list(files):
            self.left_out.setdefault(why, []).extend(found)

    def pair(
        self,
        pictures: Mapping[str, Path],
        labels: Mapping[str, tuple[str, Iterable[tuple[str, Path]]]],
        part: Callable[[str], str] = lambda key: "",
    ) -> dict[str, dict[str, Path]]:
        """Pair as the function `pair` does, and leave out every part that has no truth at all.

        Args:
            pictures: Picture by key.
            labels: As for the function.
            part: The part of the package that a key belongs to, ``"test"``: a publisher gives truth out by parts. A
                single missing mask in a part that has truth stays an error, and so does a package without any.

        Returns:
            Of each picture that is kept, by its key: the annotation files by kind.

        Raises:
            DatasetError: As the function.
        """
        # Gone through twice below: an iterator would be empty the second time.
        labels = {kind: (what, list(found)) for kind, (what, found) in labels.items()}
        true = {part(key) for _, found in labels.values() for key, _ in found if key in pictures}
        # Where no part has any truth nothing is bare: `pair` then names what is missing, as for a wrong folder.
        bare = {key: path for key, path in pictures.items() if true and part(key) not in true}
        for name in sorted({part(key) for key in bare}):
            self.leave_out(f"{name} pictures without truth", (bare[key] for key in bare if part(key) == name))
        return pair({key: path for key, path in pictures.items() if key not in bare}, labels)

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """One record for each picture, sorted by name.

        Raises:
            DatasetError: No picture was found, two share a name, or a file has no counterpart.
        """
        try:
            records = tuple(sorted(self.index(), key=lambda record: record.name))
        except OrphanError:
            # A folder that nobody may read explains a missing file, and comes before it.
            self._refuse_not_listed()
            raise
        if not records:
            self._refuse_not_listed()
            others = [path for path in self.files if is_picture(path)]
            raise DatasetError(
                f"no picture of {type(self).__name__} below {self.root}"
                + (f" (but {some(others, self.root)})" if others else ""),
                self.layout,
                "give the folder that the dataset's own package unpacks to",
            )
        # Sorted by name, so that equal names are neighbours.
        for one, two in pairwise(records):
            if one.name == two.name:
                raise DatasetError(
                    f"two pictures named {one.name!r} in {type(self).__name__}: {one.image} and {two.image}",
                    "one picture for each name",
                    "remove one of them, or give a folder that holds the dataset once",
                )
        return records

    def _refuse_not_listed(self) -> None:
        """Name the folders that a missing file may lie in, where the user has no right to look."""
        if folders := self._listing.get(NOT_LISTED):
            raise DatasetError(
                f"{len(folders)} {NOT_LISTED} below {self.root}: {some(folders, self.root)}",
                "the right to read every folder of the dataset",
                "give it, for example by chmod -R u+rX, or copy the folder",
            )

    @abstractmethod
    def index(self) -> list[Record]:
        """List the pictures and their annotation files, nothing decoded."""

    @abstractmethod
    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Decode one picture's annotations, each of ``shape`` (height, width)."""

    def form(self) -> str:
        """Which of the set's forms lies there, where there are several; empty otherwise."""
        return ""

    def remark(self) -> str:
        """What a user should know of how the files were read; empty where the class says it all."""
        return ""

    def counts(self) -> Mapping[str, int]:
        """Published number of pictures of each part."""
        return self.published

    def part(self, record: Record) -> str:
        """The part of the published package that a picture is counted in."""
        return record.subset or ""

    @cached_property
    def passed_over(self) -> tuple[Path, ...]:
        """Every picture file below the root that is in no record, was not left out, and is not known."""
        told = self._taken.union(*self.left_out.values(), *self.not_read.values())
        return tuple(path for path in self.files if is_picture(path) and path not in told)

    @cached_property
    def _taken(self) -> frozenset[Path]:
        """Every file of a record."""
        return frozenset(file for record in self.records for file in (record.image, *record.files.values()))

    @cached_property
    def not_read(self) -> dict[str, list[Path]]:
        """Files of the package that are known and not read, and strays, by kind."""
        strays = {kind: files for kind, files in self._listing.items() if kind and files}
        told = self._taken.union(*self.left_out.values())
        known = {
            kind: [path for path in self.match(pattern) if path not in told] for kind, pattern in self.known.items()
        }
        return strays | {kind: files for kind, files in known.items() if files}

    def remarks(self) -> list[str]:
        """What a user should know of this folder: how it was read, how much of what was published, what was left."""
        said = [self.remark()] if self.remark() else []
        if self.counts():
            said.append(self._count())
        said += [f"left out {len(files)} {why}: {some(files, self.root)}" for why, files in self.left_out.items()]
        if os.path.isdir(self.root):  # noqa: PTH112
            if files := self.passed_over:
                said.append(f"passed over {len(files)} pictures that fit no name of the set: {some(files, self.root)}")
            if self.not_read:
                said.append("not read: " + ", ".join(f"{len(files)} {kind}" for kind, files in self.not_read.items()))
        return said

    def _count(self) -> str:
        """What was found beside what was published, by part where the pictures tell theirs."""
        published = self.counts()
        found, total = len(self.records), sum(published.values())
        if found == total:
            return f"all {total} published pictures"
        parts = Counter(self.part(record) for record in self.records)
        # Where pictures do not tell their part, "0 of 400" for each would be untrue.
        known = len(published) > 1 and set(parts) <= set(published)
        detail = ", ".join(f"{name} {parts[name]} of {count}" for name, count in published.items())
        return f"{found} pictures, {total} are published" + (f" ({detail})" if known else "")

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
            if region in self.may_be_empty:
                continue
            # Of nested levels the strictest may be empty; of experts each has drawn, and there is at least one.
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
    truly = ", or read it by Folder with empty_cup: true where this eye has none" if region == CUP else ""
    return EmptyMaskError(
        f"no {region} pixel marked for {record.image} ({files})",
        f"a mask in which the {region} is marked",
        f"restore the mask, or remove the picture{truly}",
    )


def base(hit: re.Match[str]) -> str:
    """The folder above what a pattern of `FundusDataset.match` found: files of one package share it."""
    return hit.string[: hit.start()]
