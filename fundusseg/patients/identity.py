"""Whose eye each photograph shows, and when it was taken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fundusseg.errors import ConfigurationError, ImageError
from fundusseg.imaging.csv_files import EYE_WORDS, EYES, eye_of
from fundusseg.inference.photograph_list import Photograph
from fundusseg.patients.dates import read_date
from fundusseg.patients.name_pattern import NamePattern
from fundusseg.patients.visit_table import TableRow, VisitTable, has_patients


@dataclass(frozen=True, slots=True)
class Identity:
    """What is said of one photograph.

    Attributes:
        patient: Empty where nobody says it, or two are said.
        eye: Empty likewise.
        date: As it is written.
        remarks: Sentences about what could not be taken.
        contradicted: Fields of which several are said.
    """

    patient: str = ""
    eye: str = ""
    date: str = ""
    remarks: tuple[str, ...] = ()
    contradicted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Identities:
    """What is said of all of them.

    Attributes:
        photographs: Those of the list, with the eye that is said.
        by_name: Of each photograph's name, where anything is said.
        remarks: Sentences about lines that name no photograph.
    """

    photographs: list[Photograph]
    by_name: Mapping[str, Identity] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def find_identities(
    photographs: Sequence[Photograph], table: Path | None, pattern: str | None, arguments: Sequence[str] = ()
) -> Identities:
    """Ask a table, or else a pattern of names, or else the lists of photographs that name patients.

    Args:
        photographs: To do.
        table: A CSV file with file, patient, eye and date.
        pattern: As `NamePattern` takes it.
        arguments: Of the command line; a CSV file among them that has a column ``patient`` is a table too.

    Raises:
        ConfigurationError: Table or pattern cannot be used, or both are given.
    """
    if table is not None and pattern is not None:
        raise ConfigurationError("--table and --pattern", "one of the two", "leave one out")
    if pattern is not None:
        return _by_pattern(photographs, NamePattern(pattern))
    lists = (Path(argument) for argument in arguments if argument.lower().endswith(".csv"))
    tables = [table] if table is not None else [path for path in lists if path.is_file() and has_patients(path)]
    return _by_tables(photographs, [VisitTable(path) for path in tables])


def _by_pattern(photographs: Sequence[Photograph], pattern: NamePattern) -> Identities:
    found: dict[str, Identity] = {}
    for photograph in photographs:
        said = pattern.read(photograph.path)
        unfit = f"{photograph.path}: its name does not fit the pattern {pattern.pattern}"
        found[photograph.name] = _of_name(said) if said else Identity(remarks=(unfit,))
    return _with_eyes(photographs, found)


def _of_name(said: Mapping[str, str]) -> Identity:
    return Identity(said["patient"], said.get("eye", ""), said.get("date", ""))


def _by_tables(photographs: Sequence[Photograph], tables: Sequence[VisitTable]) -> Identities:
    found: dict[int, list[TableRow]] = {}
    remarks = []
    for table in tables:
        lines, unknown = table.of(photographs)
        for number, rows in lines.items():
            found.setdefault(number, []).extend(rows)
        remarks += [f"{row.where}: {row.file or 'an empty cell'} is no photograph of this run" for row in unknown]
    identities = {photographs[number].name: _of_rows(photographs[number], rows) for number, rows in found.items()}
    if tables:
        missing = (photograph for number, photograph in enumerate(photographs) if number not in found)
        for photograph in missing:
            identities[photograph.name] = Identity(remarks=(f"{photograph.path}: not in the table",))
    return replace(_with_eyes(photographs, identities), remarks=tuple(remarks))


def _of_rows(photograph: Photograph, rows: Sequence[TableRow]) -> Identity:
    """One identity of all lines of a photograph; where they differ in the patient or eye, none is taken."""
    said: dict[str, str] = {}
    remarks, contradicted = [], []
    for name, called in (("patient", "patients"), ("eye", "eyes"), ("date", "dates")):
        values = list({_meant(name, value): value for row in rows if (value := getattr(row, name))}.values())
        if len(values) > 1:
            lines = " and ".join(row.where for row in rows)
            contradicted.append(name)
            remarks.append(f"{photograph.path}: {len(values)} {called}, {' and '.join(values)} ({lines})")
        said[name] = values[0] if len(values) == 1 else ""
    return Identity(said["patient"], said["eye"], said["date"], tuple(remarks), tuple(contradicted))


def _meant(name: str, value: str) -> object:
    """What a cell says, however it is spelt: R is the right eye, and 31.05.2024 is 2024-05-31."""
    if name == "eye":
        return EYES.get(value.lower().removesuffix(" eye"), value)
    return (read_date(value) or value) if name == "date" else value


def _with_eyes(photographs: Sequence[Photograph], found: Mapping[str, Identity]) -> Identities:
    """Photographs with the eye that is said; an eye that cannot be read is told and left to the picture."""
    named: list[Photograph] = []
    identities = dict(found)
    for photograph in photographs:
        identity = identities.get(photograph.name, Identity())
        try:
            eye = eye_of(identity.eye) or ""
        except ImageError:
            remark = f"{photograph.path}: the eye {identity.eye!r} is not {EYE_WORDS}"
            identities[photograph.name] = replace(identity, eye="", remarks=(*identity.remarks, remark))
            named.append(replace(photograph, eye=""))
            continue
        # Of two eyes neither is taken, not the first line's either.
        taken = eye or "eye" in identity.contradicted
        named.append(replace(photograph, eye=eye) if taken else photograph)
    return Identities(named, identities)
