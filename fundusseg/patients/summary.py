"""The end of a run whose patients are known: eyes.csv, visits.csv, patients.csv, patients.html, and what is said."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fundusseg.atomic_file import write_whole
from fundusseg.cli import console
from fundusseg.errors import ConfigurationError
from fundusseg.inference.run_journal import JournalEntry
from fundusseg.measures.repeatability import Repeatability
from fundusseg.patients.asymmetry import asymmetry
from fundusseg.patients.change import EyeChange, eye_change
from fundusseg.patients.eyes import Patient, PatientEye, group_patients
from fundusseg.patients.identity import Identities
from fundusseg.patients.page import EMBEDDED, patients_html
from fundusseg.patients.run_files import PAGE, UNASSIGNED, RunFiles, remove_tables
from fundusseg.patients.tables import TABLES, Judged, table_rows
from fundusseg.patients.views import eye_views
from fundusseg.reports.data_dictionary import dictionary_about, write_dictionary
from fundusseg.reports.files import csv_line

_SAID = 20


def summarise_patients(
    entries: Sequence[JournalEntry],
    identities: Identities,
    made_by: Mapping[str, Any],
    files: RunFiles,
    repeatability: Repeatability,
    place: str | None = None,
) -> None:
    """Write the patients' tables; where nobody says whose any photograph is, none is left of an earlier run either.

    Args:
        entries: All photographs of the run, in order.
        identities: What is said of them.
        made_by: What made the results.
        files: Of the run; the tables go into its folder.
        repeatability: Error of the measures.
        place: Where the user finds them; None for the folder itself.
    """
    patients, unassigned = group_patients(entries, identities)
    if not patients and not identities.by_name:
        if repeatability.origin != Repeatability().origin:
            console.print("no patient is known, so that --repeatability changed nothing", style="yellow")
        remove_tables(files.output)
        return
    judged, output = [*_judged(patients, files, repeatability)], files.output
    about = _about(made_by, repeatability)
    versions = {"fundusseg_version": made_by["fundusseg"], "checkpoint_sha256": str(made_by["checkpoint"]).split()[-1]}
    for name, rows in table_rows(judged, versions).items():
        columns = TABLES[name]
        lines = [csv_line(column.name for column in columns), *(csv_line(row.values()) for row in rows)]
        write_whole(output / f"{name}.csv", "".join(lines).encode("utf-8", "backslashreplace"))
        write_dictionary(output / f"{name}.csv", columns, about)
    said = "".join(map(csv_line, [["remark"], *([remark] for remark in unassigned)]))
    write_whole(output / UNASSIGNED, said.encode("utf-8", "backslashreplace"))
    write_whole(output / PAGE, patients_html(judged, about, files, repeatability, len(unassigned)))
    _say(judged, unassigned, place or str(output))


def check_spared(inputs: Iterable[str], output: Path) -> None:
    """Refuse tables that the patients' own would be written over.

    Args:
        inputs: Files that the run reads.
        output: The output folder.

    Raises:
        ConfigurationError: One of them has the name and the place of a table that is written.
    """
    names = {UNASSIGNED, *(f"{name}.csv" for name in TABLES)}
    own = (path for path in inputs if Path(path).name in names)  # asks the disk for few
    if path := next((path for path in own if Path(path).resolve().parent == output.resolve()), None):
        raise ConfigurationError(
            f"the table {path}, which this run would write over", "a table outside the output folder", "move it"
        )


def _judged(patients: Sequence[Patient], files: RunFiles, repeatability: Repeatability) -> Iterator[Judged]:
    """Judge one patient after the other; pictures of unchanged eyes are let go once there are enough for the page."""
    pictures = 0
    for patient in patients:
        changes = {eye: judge(own, files, repeatability) for eye, own in patient.eyes.items()}
        for eye, change in changes.items():
            pictures += len(change.views)
            if pictures > EMBEDDED and not (change.ratio and change.ratio.changed):
                views = tuple(replace(view, picture=b"", outlines={}) for view in change.views)
                changes[eye] = replace(change, views=views)
        yield Judged(patient, asymmetry(patient, repeatability, files), changes)


def judge(eye: PatientEye, files: RunFiles, repeatability: Repeatability) -> EyeChange:
    """The change of one eye; photographs are read again only of those with two measured visits or more."""
    if len(eye.measured) < 2:
        return EyeChange()
    return eye_change(eye, eye_views(eye, files), repeatability)


def _about(made_by: Mapping[str, Any], repeatability: Repeatability) -> dict[str, Any]:
    """Versions and digests, and the error that the intervals rest on."""
    return dictionary_about(made_by) | {
        "repeatability": repeatability.origin,
        "within-eye SD of the vertical ratio": round(repeatability.sd("vertical_cdr"), 4),
        "smallest detectable change of it": round(repeatability.smallest_change("vertical_cdr"), 4),
    }


def _say(judged: Sequence[Judged], unassigned: Sequence[str], place: str) -> None:
    """Patients with a change or a remark, and what was not assigned."""
    lines = list(unassigned)
    for one in judged:
        lines += [f"{one.patient.name}: {remark}" for remark in one.patient.remarks]
        for eye, own in one.patient.eyes.items():
            change = one.changes[eye]
            said = [change.sentence] if change.ratio and change.ratio.changed else []
            lines += [f"{one.patient.name} {eye}: {remark}" for remark in (*said, *own.remarks, *change.problems)]
    for line in lines[:_SAID]:
        console.print(line.encode("utf-8", "backslashreplace").decode(), style="yellow", soft_wrap=True, markup=False)
    if len(lines) > _SAID:
        console.print(f"and {len(lines) - _SAID} more remarks, in the tables", soft_wrap=True)
    eyes = sum(len(one.patient.eyes) for one in judged)
    where = f"{place}/patients.csv, eyes.csv and visits.csv, page in {place}/{PAGE}"
    also = f"; {len(unassigned)} not assigned, in {place}/{UNASSIGNED}" if unassigned else ""
    console.print(f"{len(judged)} patients, {eyes} eyes in {where}{also}", soft_wrap=True, markup=False)
