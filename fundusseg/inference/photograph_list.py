"""Which photographs to do, and the name of each one's results."""

import glob
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO
from unicodedata import normalize

from fundusseg.errors import ConfigurationError, ImageError
from fundusseg.imaging.archive_files import (
    directory_files,
    frame_names,
    is_directory,
    why_no_photograph,
    with_dicom,
)
from fundusseg.imaging.csv_files import PATH_COLUMNS, eye_of, read_rows
from fundusseg.imaging.dicom_files import is_dicom
from fundusseg.imaging.image_files import SUFFIXES
from fundusseg.imaging.photograph_files import HIDDEN, ending, is_hidden, walk
from fundusseg.inference.result_paths import EARLIER, earlier_results
from fundusseg.sample import Eye

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Photograph:
    """A photograph to do.

    Attributes:
        path: Its file; it need not exist, as a list may be wrong in one line.
        name: Of its results below the output folder, without ending; ``/`` between folders.
        eye: As the list says it, or empty.
        page: Frame of a DICOM file of several, counted from 0.
    """

    path: Path
    name: str = ""
    eye: str = ""
    page: int = 0

    def side(self) -> Eye | None:
        """The eye, where the list says it.

        Raises:
            ImageError: The list says something else.
        """
        try:
            return eye_of(self.eye)
        except ImageError as error:
            raise ImageError(f"eye {self.eye!r} of {self.path}", error.expected, error.do) from error


@dataclass(frozen=True, slots=True)
class PhotographList:
    """What a command line names.

    Attributes:
        photographs: In order, each once.
        passed_over: Every other file of its folders and patterns with the reason, see
            `fundusseg.imaging.photograph_files`.
    """

    photographs: list[Photograph]
    passed_over: dict[Path, str]


def count_passed_over(passed_over: Mapping[Path, str]) -> str:
    """How many files were passed over for which reason.

    >>> count_passed_over({Path("a.dcm"): ".dcm", Path("b.dcm"): ".dcm", Path(".c"): "hidden"})
    '2 .dcm, 1 hidden'
    """
    return ", ".join(f"{count} {reason}" for reason, count in sorted(Counter(passed_over.values()).items()))


def find_photographs(arguments: Sequence[str], output: Path, stdin: TextIO | None = None) -> PhotographList:
    """The photographs that a command line names, in its order, each once.

    Folders are read with all below them and keep their inner structure; what lies in the output folder is left out, and
    what a run before drew in another one is passed over. DICOM photographs are known by their content, whatever their
    ending; each frame of a file of several is one. Of single files, a pattern or a list, the file's name alone is
    taken, or its place below the folder that they have in common where two would fall together. Names that still fall
    together keep their ending as well.

    Args:
        arguments: Files, DICOMDIRs, folders, patterns (``*``, ``?``, ``[...]``, ``**`` for any depth), CSV files of
            paths, or ``-`` for one path a line from standard input. A relative path of a CSV file starts in the
            current folder or, where nothing is there, in the CSV file's own.
        output: Where results go.
        stdin: What ``-`` reads, by default standard input.

    Raises:
        ImageError: An argument names nothing, or two photographs have one name.
        ConfigurationError: A CSV file cannot be read.
    """
    groups: list[list[Photograph]] = []
    passed_over: dict[Path, str] = {}
    for argument in arguments:
        group, others = _named_by(argument, output.resolve(), stdin)
        groups.append(group)
        passed_over |= others
    # Single files are named together, whatever stands between them on the command line.
    single = _flat(photograph for group in groups for photograph in group if not photograph.name)
    names = {photograph.path: photograph.name for photograph in single}
    listed = _once(photograph for group in groups for photograph in group)
    named = _named(
        frame
        for photograph in listed
        for frame in _frames(replace(photograph, name=photograph.name or names[photograph.path]))
    )
    # What a folder passed over may have been named by itself as well.
    given = {_absolute(photograph.path) for photograph in named}
    return PhotographList(named, {path: why for path, why in passed_over.items() if _absolute(path) not in given})


def _named_by(argument: str, results: Path, stdin: TextIO | None) -> tuple[list[Photograph], dict[Path, str]]:
    """What one argument names, a single file without a name yet; and what it passes over, each with the reason."""
    path = Path(argument)
    if argument == STDIN:
        return _flat(_lines(stdin or sys.stdin)), {}
    if os.path.isdir(path):  # noqa: PTH112 - no error of a name that no file can have
        content = with_dicom(walk(path, SUFFIXES, skip=lambda folder: folder.resolve() == results))
        files, others = _without_results(content.files, content.passed_over)
        _refuse_nothing(files, f"below {path}", others)
        return [Photograph(file, file.relative_to(path).as_posix()) for file in files], others
    if os.path.isfile(path):  # noqa: PTH113
        if path.suffix.lower() == ".csv":
            return _flat(_csv(path)), {}
        if not is_directory(path):
            return [Photograph(path)], {}
        files, others = directory_files(path)
        _refuse_nothing(files, f"named by {path}", others)
        return _flat(map(Photograph, files)), dict(others)
    if re.search(r"[*?\[]", argument):
        # A pattern may begin at the root, which Path.glob does not take.
        matches = sorted(map(Path, glob.iglob(argument, recursive=True)))  # noqa: PTH207
        taken = {match: _why_not(match, results, "**" in argument) for match in matches}
        others = {match: reason for match, reason in taken.items() if reason}
        files, others = _without_results([match for match, reason in taken.items() if reason == ""], others)
        _refuse_nothing(files, f"of the pattern {argument}", others)
        return _flat(Photograph(file) for file in files), others
    raise ImageError(f"no file or folder at {path}", "a photograph, a folder or a list of them", "check it")


def _without_results(files: Sequence[Path], passed_over: Mapping[Path, str]) -> tuple[list[Path], dict[Path, str]]:
    """Files that no earlier run drew, and those that are passed over with the others among them."""
    drawn = earlier_results(files)
    return [file for file in files if file not in drawn], {**passed_over, **dict.fromkeys(sorted(drawn), EARLIER)}


def _refuse_nothing(files: Sequence[Path], where: str, passed_over: Mapping[Path, str]) -> None:
    if not files:
        others = f" ({count_passed_over(passed_over)} passed over)" if passed_over else ""
        raise ImageError(f"no photograph {where}{others}", f"files ending in {sorted(SUFFIXES)}", "check the path")


def _why_not(match: Path, results: Path, any_depth: bool) -> str | None:
    """Why a pattern's match is no photograph: empty where it is one, None where nobody meant it."""
    if match.is_dir():
        return None if any_depth or match.resolve() == results else "folder"
    if results in match.resolve().parents:
        return None
    if is_hidden(match.name):
        return HIDDEN
    return "" if match.suffix.lower() in SUFFIXES else why_no_photograph(match) if is_dicom(match) else ending(match)


def _lines(stream: TextIO) -> Iterator[Photograph]:
    for line in stream:
        if path := line.rstrip("\r\n"):
            yield Photograph(Path(path))


def _csv(path: Path) -> Iterator[Photograph]:
    """A CSV file's paths; a first line that is itself a picture's path is no heading."""
    try:
        rows = [row for _, row in read_rows(path)]
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"a list that cannot be read ({type(error).__name__}): {path}", "a CSV file in UTF-8", "save it as such"
        ) from error
    if not rows:
        raise ConfigurationError(f"an empty list: {path}", "a CSV file with a path in each line", "fill it")
    heading = [cell.lower() for cell in rows[0]]
    if Path(heading[0]).suffix in SUFFIXES:
        heading = []
    column = next((heading.index(name) for name in PATH_COLUMNS if name in heading), 0)
    eye = heading.index("eye") if "eye" in heading else len(rows[0])
    for row in rows[bool(heading) :]:
        if column < len(row) and (cell := row[column]):
            yield Photograph(listed_file(cell, path.parent), eye="".join(row[eye : eye + 1]))


def listed_file(cell: str, folder: Path) -> Path:
    """The file that a cell names: from the current folder, else from the list's own.

    Backslashes may part folders, and the file's name may have the other form of Unicode (macOS takes letters apart).
    """
    slashes = (cell, cell.replace("\\", "/"))
    names = [*slashes, *(normalize(form, name) for name in slashes for form in ("NFC", "NFD"))]
    spelt = [place / name for name in names for place in (Path(), folder)]
    return next((file for file in spelt if os.path.exists(file)), spelt[0])  # noqa: PTH110 - no error of a strange name


def _flat(photographs: Iterable[Photograph]) -> list[Photograph]:
    """Name files of a list after themselves, or after their place below the folder that they share."""
    listed = _once(photographs)
    absolute = [Path(_absolute(photograph.path)) for photograph in listed]
    names = [path.name for path in absolute]
    if len(set(names)) < len(names):
        names = _places(absolute)
    # The root itself, which a list may name by mistake, has no name; it is told like any file that cannot be read.
    return [
        replace(photograph, name="root" if name in ("", ".") else name)
        for photograph, name in zip(listed, names, strict=True)
    ]


def _places(paths: Sequence[Path]) -> list[str]:
    """Each path below the folder that all share, or, on Windows, below its drive's letter."""
    try:
        shared = os.path.commonpath(path.parent for path in paths)
    except ValueError:  # several drives share nothing
        return ["/".join((path.drive.strip(":\\/").replace("\\", "/"), *path.parts[1:])) for path in paths]
    return [Path(os.path.relpath(path, shared)).as_posix() for path in paths]


def _absolute(path: Path) -> str:
    """From the root, without ``..``: what a name is made of never leads out of the output folder."""
    return os.path.abspath(path)  # noqa: PTH100 - takes ".." out, asks no disk


def _once(photographs: Iterable[Photograph]) -> list[Photograph]:
    """Each file once, the first time it is named."""
    seen: dict[str, Photograph] = {}
    for photograph in photographs:
        seen.setdefault(_absolute(photograph.path), photograph)
    return list(seen.values())


def _frames(photograph: Photograph) -> Iterator[Photograph]:
    """A photograph for each frame of a DICOM file, named by it; itself where there is one, or none can be read."""
    if photograph.path.suffix.lower() in SUFFIXES:  # no file more is opened of what can be told by its name
        yield photograph
        return
    stem, suffix = _parted(photograph.name)
    for page, name in enumerate(frame_names(photograph.path)):
        yield replace(photograph, page=page, name=f"{stem}{name}{suffix}" if name else photograph.name)


def _named(photographs: Iterable[Photograph]) -> list[Photograph]:
    """Leave out the ending where the name is still one photograph's alone."""
    photographs = list(photographs)
    stems = Counter(_stem(photograph.name) for photograph in photographs)
    owner: dict[str, Path] = {}
    named = []
    for photograph in photographs:
        name = photograph.name if stems[_stem(photograph.name)] > 1 else _stem(photograph.name)
        if name in owner:
            raise ImageError(
                f"two photographs of one name: {owner[name]} and {photograph.path}",
                "names that differ, as the results are named after them",
                "run their folders one after the other, each with its own --output",
            )
        owner[name] = photograph.path
        named.append(replace(photograph, name=name))
    return named


def _stem(name: str) -> str:
    """Without its ending; ``/`` between folders on every system, as names go into tables."""
    return _parted(name)[0]


def _parted(name: str) -> tuple[str, str]:
    """Stem and ending; what archives name by numbers, ``1.2.840.5``, has none."""
    path = Path(name)
    suffix = "" if path.suffix[1:].isdecimal() else path.suffix
    return path.as_posix().removesuffix(suffix), suffix
