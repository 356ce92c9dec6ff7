"""Looks at a folder of downloads and says which public packages, and which folders of one's own, lie in it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from textwrap import indent
from typing import Any

import yaml

from fundusseg.datasets._listing import is_picture, some, sort_out
from fundusseg.datasets.base import FundusDataset
from fundusseg.datasets.dicom_folder import DicomFolder
from fundusseg.datasets.folder import Folder
from fundusseg.datasets.same_eyes import public_readers, same_eyes
from fundusseg.errors import ConfigurationError, DatasetError, FundusSegError, OrphanError
from fundusseg.imaging.dicom_files import is_dicom, is_installed
from fundusseg.imaging.image_files import SUFFIXES
from fundusseg.sample import CUP, DISC, Region

TRIED = 3
"""Pictures that are decoded before a reader is believed to fit."""

_IMAGES = re.compile("images?|imgs?|pictures|photos|photographs|fundus", re.IGNORECASE)
_MASKS = re.compile("masks?|labels?|annotations?|gts?|ground_?truths?", re.IGNORECASE)


@dataclass
class Found:
    """One package.

    Attributes:
        dataset: The reader, its root the smallest folder that gives all it finds.
        settings: The reader's arguments, ``root`` relative to the folder that was searched.
        error: Why it cannot be read; None where it can.
    """

    dataset: FundusDataset
    settings: dict[str, Any]
    error: FundusSegError | None = None

    @cached_property
    def files(self) -> frozenset[Path]:
        """Every file that it reads or knows, so that nobody else claims it."""
        if self.error:
            return frozenset()
        dataset = self.dataset
        told = {file for record in dataset.records for file in (record.image, *record.files.values())}
        return frozenset(told.union(*dataset.left_out.values(), *dataset.not_read.values()))

    def sentence(self) -> str:
        """Which set, where, in which form, complete or not."""
        name, root = type(self.dataset).__name__, self.settings["root"]
        if self.error:
            return f"{name} in {root} cannot be read: {self.error}"
        form = f", {self.dataset.form()}" if self.dataset.form() else ""
        remarks = self.dataset.remarks()
        if not self.dataset.counts():
            remarks.insert(0, f"{len(self.dataset)} pictures")
        return f"{name} in {root}{form}: {'; '.join(remarks)}"

    def entry(self) -> str:
        """Its entry in the list of datasets, in YAML."""
        entry = {"class_path": f"fundusseg.datasets.{type(self.dataset).__name__}", "init_args": self.settings}
        return indent(yaml.safe_dump([entry], sort_keys=False), "  ")


@dataclass
class SearchResult:
    """All that was found below a folder.

    Attributes:
        root: The folder.
        found: Packages that can be read, and those that cannot.
        pictures: Every picture below it that belongs to none of them.
    """

    root: Path
    found: list[Found] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)

    @property
    def usable(self) -> list[Found]:
        """Those that can be read."""
        return [one for one in self.found if one.error is None]

    @cached_property
    def aside(self) -> dict[int, str]:
        """Of those that can be read, by position: why one cannot stand beside the others.

        Original sets come before those that are made of them, which have them cropped or reduced; then those that label
        more regions; then the larger ones.
        """
        kept: list[Found] = []
        aside: dict[int, str] = {}
        order = [(one.dataset.derived, -len(one.dataset.regions), -len(one.dataset)) for one in self.usable]
        for position, one in sorted(enumerate(self.usable), key=lambda pair: order[pair[0]]):
            twice = [other for other in kept if other.dataset.source == one.dataset.source]
            rivals = [other for other in kept if same_eyes([other.dataset, one.dataset])]
            if DISC not in one.dataset.regions:
                aside[position] = f"labels {', '.join(one.dataset.regions)}: a training of its own"
            elif twice:
                aside[position] = f"the same set as in {twice[0].settings['root']}"
            elif rivals:
                names = ", ".join(rival.dataset.source for rival in rivals)
                aside[position] = f"shows eyes of {names} again: take one or the other"
            else:
                kept.append(one)
        return aside

    @property
    def merged(self) -> list[Found]:
        """What can be trained on together."""
        return [one for position, one in enumerate(self.usable) if position not in self.aside]

    def sentences(self) -> list[str]:
        """A line for each package, for each that cannot stand beside the others, and for the pictures of nobody."""
        lines = [one.sentence() for one in self.found]
        usable = self.usable
        lines += [
            f"{type(usable[at].dataset).__name__} in {usable[at].settings['root']}: {self.aside[at]}"
            for at in self.aside
        ]
        if self.pictures:
            lines.append(f"{len(self.pictures)} pictures belong to none of these: {some(self.pictures, self.root)}")
        return lines

    def section(self) -> str:
        """The data section, in YAML, that reads what can be merged; the rest is commented out."""
        merged = self.merged
        regions = [region for region in (DISC, CUP) if any(region in one.dataset.regions for one in merged)]
        head = yaml.safe_dump({"root": str(self.root.resolve()), "regions": regions}, sort_keys=False)
        text = "data:\n" + indent(head + "datasets:\n", "  ") + "".join(one.entry() for one in merged)
        return text + "".join(f"# {why}\n" + indent(self.usable[at].entry(), "# ") for at, why in self.aside.items())


def find(folder: str | Path) -> SearchResult:
    """Search a folder for public packages and for folders of images and masks.

    Args:
        folder: Any folder; nothing in it is changed, and of its pictures a few are decoded.

    Raises:
        ConfigurationError: There is no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ConfigurationError(f"no folder at {root}", "a folder of downloaded datasets", "check --find")
    kinds = sort_out(root, FundusDataset.strays, FundusDataset.second_copies)
    candidates = [one for reader in public_readers() for one in _search(reader, root, root, kinds)]
    result = SearchResult(root, _without_rivals(candidates))
    # Sorted anew: what is a stray of the public sets may be a folder of the user's own.
    own = sort_out(root, Folder.strays, Folder.second_copies)
    claimed = [one.files for one in result.usable]
    result.found += [one for one in _own_folders(root, own) if not any(one.files & files for files in claimed)]
    exported = [path for path in own[""] if path.suffix.lower() not in SUFFIXES and is_dicom(path)]
    result.found += _dicom_folder(root, exported, own)
    told = frozenset().union(*(one.files for one in result.usable))
    pictures = {*exported, *(path for path in kinds[""] if is_picture(path))}
    result.pictures = sorted(path for path in pictures if path not in told)
    for dataset in (one.dataset for one in result.usable):
        # A set that spreads over several folders has others beside it: their pictures are no strays of its.
        dataset.__dict__["passed_over"] = tuple(path for path in dataset.passed_over if path not in told)
    return result


def _search(reader: type[FundusDataset], folder: Path, top: Path, kinds: dict[str, list[Path]]) -> list[Found]:
    """Try a reader on a folder and, where several packages stand in its way there, on the folders below."""
    dataset = _listed(reader(folder), kinds)
    try:
        if not dataset.index():
            return []
        # Anew: `index` notes what it leaves out, and a second call on the same reader would note it twice.
        dataset = _listed(reader(folder), kinds)
        _ = dataset.records
    except DatasetError as error:
        below = sorted({path.relative_to(folder).parts[0] for path in dataset.files})
        found = [one for name in below for one in _search(reader, folder / name, top, _below(folder / name, kinds))]
        # Where some files have their counterparts, it is one package, which may spread over several folders.
        whole = not isinstance(error, OrphanError) or error.paired > 0
        same = len(found) == 1 and str(found[0].error) == str(error)
        if any(one.error is None for one in found) or same or (found and not whole):
            return found
        return [Found(dataset, {"root": _relative(folder, top)}, error)] if _signed(dataset, top) else []
    if not _signed(dataset, top) or not _decodes(dataset):
        return []
    dataset = _smallest(dataset, kinds)
    return [Found(dataset, {"root": _relative(dataset.root, top)})]


def _listed(dataset: FundusDataset, kinds: dict[str, list[Path]]) -> FundusDataset:
    """The dataset with its files listed already: one walk serves all readers."""
    dataset.__dict__["_listing"] = kinds
    return dataset


def _below(folder: Path, kinds: dict[str, list[Path]]) -> dict[str, list[Path]]:
    # With its slash, so that RIGA does not take what lies in RIGA-mask.
    start = f"{folder}/"
    return {kind: [path for path in paths if str(path).startswith(start)] for kind, paths in kinds.items()}


def _signed(dataset: FundusDataset, top: Path) -> bool:
    """Whether a name says that it is this set, where the reader asks for that."""
    sign = re.compile(dataset.signs, re.IGNORECASE)
    # From the parent on: the searched folder's own name may be all that says which set this is.
    return any(sign.search(str(path.relative_to(top.parent))) for path in (dataset.root, *dataset.files))


def _decodes(dataset: FundusDataset) -> bool:
    """Whether one of a few pictures can be read with its annotations: its codes are the set's."""
    records = dataset.records
    for record in records[:: max(1, len(records) // TRIED)][:TRIED]:
        try:
            dataset.load(record)
        except FundusSegError:
            continue
        return True
    return False


def _smallest(dataset: FundusDataset, kinds: dict[str, list[Path]]) -> FundusDataset:
    """The same reader on the smallest folder that gives the same records: tables may lie above the pictures."""
    files = [file for record in dataset.records for file in (record.image, *record.files.values())]
    folder = _common(files)
    while folder != dataset.root and folder.is_relative_to(dataset.root):
        smaller = _listed(type(dataset)(folder), _below(folder, kinds))
        try:
            if smaller.records == dataset.records:
                return smaller
        except DatasetError:
            pass
        folder = folder.parent
    return dataset


def _common(files: Iterable[Path]) -> Path:
    """The folder that holds them all."""
    folders = [file.parent for file in files]
    common = folders[0]
    for folder in folders[1:]:
        while not folder.is_relative_to(common):
            common = common.parent
    return common


def _without_rivals(candidates: list[Found]) -> list[Found]:
    """Of two that claim the same pictures the one that reads more; what cannot be read only where nobody else reads."""
    kept: list[Found] = []
    for one in sorted(candidates, key=lambda one: -len(one.dataset) if one.error is None else 1):
        if one.error is None:
            images = {record.image for record in one.dataset.records}
            rival = any(images & other.files for other in kept)
        else:
            rival = any(file.is_relative_to(one.dataset.root) for other in kept for file in other.files)
        if not rival:
            kept.append(one)
    return sorted(kept, key=lambda one: str(one.settings["root"]))


def _own_folders(root: Path, kinds: dict[str, list[Path]]) -> Iterator[Found]:
    """Folders of images with a folder of masks beside, that are read without a question."""
    parents: dict[Path, set[str]] = {}
    for path in kinds[""]:
        for folder in path.relative_to(root).parents:
            if folder.name:
                parents.setdefault(root / folder.parent, set()).add(folder.name)
    for parent, names in sorted(parents.items()):
        images = sorted(name for name in names if _IMAGES.fullmatch(name))
        masks = sorted(name for name in names if _MASKS.fullmatch(name))
        if images and masks and (one := _own_folder(parent, images[0], masks[0], root, kinds)):
            yield one


def _own_folder(parent: Path, images: str, masks: str, root: Path, kinds: dict[str, list[Path]]) -> Found | None:
    regions: tuple[tuple[Region, ...], ...] = ((DISC, CUP), (DISC,))
    name = re.sub(r"\W+", "_", parent.name).strip("_").lower() or "folder"
    tables = [path.name for path in kinds[""] if path.parent == parent and path.suffix.lower() == ".csv"]
    for labelled, table in product(regions, [*tables, None]):
        settings: dict[str, Any] = {"images": images, "masks": masks, "name": name, "regions": list(labelled)}
        settings |= {"csv": table} if table else {}
        try:
            dataset = _listed(Folder(parent, **settings), _below(parent, kinds))
            if dataset.records and _decodes(dataset):
                return Found(dataset, {"root": _relative(parent, root), **settings})
        except FundusSegError:
            continue
    return None


def _dicom_folder(root: Path, exported: list[Path], kinds: dict[str, list[Path]]) -> list[Found]:
    """The smallest folder that holds all DICOM files, where experts drew on some of them."""
    if not exported or not is_installed():
        return []
    folder = _common(exported)
    dataset = _listed(DicomFolder(folder), _below(folder, kinds))
    settings = {"root": _relative(folder, root)}
    try:
        if not dataset.index():
            return []
        dataset = _listed(DicomFolder(folder), _below(folder, kinds))
        _ = dataset.records
    except FundusSegError as error:
        return [Found(dataset, settings, error)]
    return [Found(dataset, settings)]


def _relative(folder: Path, top: Path) -> str:
    return folder.relative_to(top).as_posix()
