"""Which photographs to do, and the name of each one's results."""

import csv
import glob
import hashlib
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from fundusseg.errors import ConfigurationError, ImageError
from fundusseg.imaging.image_files import SUFFIXES
from fundusseg.sample import Eye

STDIN = "-"
PATH_COLUMNS = ("file", "path", "image")
"""Columns of a CSV that may hold the paths, the first that is there; else its first column does."""

_EYES: dict[str, Eye] = {"od": "OD", "right": "OD", "r": "OD", "os": "OS", "left": "OS", "l": "OS"}


@dataclass(frozen=True, slots=True)
class Photograph:
    """A photograph to do.

    Attributes:
        path: Its file; it need not exist, as a list may be wrong in one line.
        name: Of its results below the output folder, without ending; ``/`` between folders.
        eye: As the list says it, or empty.
    """

    path: Path
    name: str = ""
    eye: str = ""

    def side(self) -> Eye | None:
        """The eye, where the list says it.

        Raises:
            ImageError: The list says something else.
        """
        eye = self.eye.strip().lower()
        if eye and eye not in _EYES:
            raise ImageError(f"eye {self.eye!r} of {self.path}", "OD, right or R, OS, left or L, or nothing", "mend it")
        return _EYES.get(eye)


def find_photographs(arguments: Sequence[str], output: Path, stdin: TextIO | None = None) -> list[Photograph]:
    """The photographs that a command line names, in its order, each once.

    Folders are read with all below them and keep their inner structure; what lies in the output folder is passed over.
    Of single files, a pattern or a list, the file's name alone is taken, or its place below the folder that they have
    in common where two would fall together. Names that still fall together keep their ending as well.

    Args:
        arguments: Files, folders, patterns (``*``, ``?``, ``[...]``, ``**`` for any depth), CSV files of paths, or
            ``-`` for one path a line from standard input. A relative path of a CSV file starts in the current folder
            or, where nothing is there, in the CSV file's own.
        output: Where results go.
        stdin: What ``-`` reads, by default standard input.

    Raises:
        ImageError: An argument names nothing, or two photographs have one name.
        ConfigurationError: A CSV file cannot be read.
    """
    groups: list[list[Photograph]] = []
    single: list[Photograph] = []
    for argument in arguments:
        path = Path(argument)
        if argument == STDIN:
            groups.append(_flat(_lines(stdin or sys.stdin)))
        elif path.is_dir():
            files = _pictures(path.rglob("*"), output, path)
            groups.append([Photograph(file, _name(file.relative_to(path))) for file in files])
        elif path.is_file() and path.suffix.lower() == ".csv":
            groups.append(_flat(_csv(path)))
        elif path.is_file():
            single.append(Photograph(path))
            groups.append(single[-1:])
        elif re.search(r"[*?\[]", argument):
            # A pattern may begin at the root, which Path.glob does not take.
            files = _pictures(map(Path, glob.iglob(argument, recursive=True)), output, argument)  # noqa: PTH207
            groups.append(_flat(Photograph(file) for file in files))
        else:
            raise ImageError(f"no file or folder at {path}", "a photograph, a folder or a list of them", "check it")
    names = {photograph.path: photograph.name for photograph in _flat(single)}
    listed = _once(photograph for group in groups for photograph in group)
    return _named(
        [photograph if photograph.name else replace(photograph, name=names[photograph.path]) for photograph in listed]
    )


def shard_of(photographs: Iterable[Photograph], index: int, count: int) -> list[tuple[int, Photograph]]:
    """One machine's part, with each photograph's position in the whole list.

    A photograph's shard follows from its name alone, so that machines agree even where one sees a file more.

    Args:
        photographs: The whole list.
        index: 1..count.
        count: Number of machines.
    """
    numbered = enumerate(photographs)
    return [(n, p) for n, p in numbered if _number(p.name) % count == index - 1]


def _number(name: str) -> int:
    """The same for a name on every machine and in every process, which hash() is not."""
    return int.from_bytes(hashlib.blake2b(os.fsencode(name), digest_size=8).digest(), "big")


def _pictures(paths: Iterable[Path], output: Path, where: Path | str) -> list[Path]:
    """Files that look like pictures, sorted; hidden ones and earlier results left out."""
    results = output.resolve()
    seen = [path for path in paths if path.suffix.lower() in SUFFIXES and path.name[0] != "." and path.is_file()]
    found = sorted(path for path in seen if results not in path.resolve().parents)
    if not found:
        kind = "below" if isinstance(where, Path) else "of the pattern"
        raise ImageError(f"no photograph {kind} {where}", f"files ending in {sorted(SUFFIXES)}", "check the path")
    return found


def _lines(stream: TextIO) -> Iterator[Photograph]:
    for line in stream:
        if path := line.rstrip("\r\n"):
            yield Photograph(Path(path))


def _csv(path: Path) -> Iterator[Photograph]:
    """A CSV file's paths, with comma, semicolon or tab; a first line that is itself a picture's path is no heading."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"a list that cannot be read ({type(error).__name__}): {path}", "a CSV file in UTF-8", "save it as such"
        ) from error
    first = text.split("\n", 1)[0]
    rows = [row for row in csv.reader(text.splitlines(), delimiter=max(",;\t", key=first.count)) if any(row)]
    if not rows:
        raise ConfigurationError(f"an empty list: {path}", "a CSV file with a path in each line", "fill it")
    heading = [cell.strip().lower() for cell in rows[0]]
    if Path(heading[0]).suffix in SUFFIXES:
        heading = []
    column = next((heading.index(name) for name in PATH_COLUMNS if name in heading), 0)
    eye = heading.index("eye") if "eye" in heading else len(rows[0])
    for row in rows[bool(heading) :]:
        if column < len(row) and (cell := row[column].strip()):
            file = Path(cell)
            beside = path.parent / file
            yield Photograph(beside if beside.exists() and not file.exists() else file, eye="".join(row[eye : eye + 1]))


def _flat(photographs: Iterable[Photograph]) -> list[Photograph]:
    """Name files of a list after themselves, or after their place below the folder that they share."""
    listed = _once(photographs)
    if len({photograph.path.name for photograph in listed}) == len(listed):
        return [replace(photograph, name=photograph.path.name) for photograph in listed]
    absolute = [photograph.path.absolute() for photograph in listed]
    shared = os.path.commonpath(path.parent for path in absolute)
    return [
        replace(photograph, name=_name(path.relative_to(shared)))
        for photograph, path in zip(listed, absolute, strict=True)
    ]


def _once(photographs: Iterable[Photograph]) -> list[Photograph]:
    """Each file once, the first time it is named."""
    seen: dict[str, Photograph] = {}
    for photograph in photographs:
        seen.setdefault(os.path.abspath(photograph.path), photograph)  # noqa: PTH100 - takes ".." out, asks no disk
    return list(seen.values())


def _named(photographs: Sequence[Photograph]) -> list[Photograph]:
    """Leave out the ending where the name is still one photograph's alone."""
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
    return _name(Path(name).with_suffix(""))


def _name(path: Path) -> str:
    """With ``/`` on every system, as names go into tables and decide the shard."""
    return path.as_posix()
