"""The end of a run: measures.csv with its dictionary, report.html, and what is said in the terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fundusseg.atomic_file import write_whole
from fundusseg.cli import console
from fundusseg.inference.output_files import measures_csv, measures_names
from fundusseg.inference.photograph_list import count_passed_over
from fundusseg.inference.report_page import ReportRow, report_html, row_status
from fundusseg.inference.result_paths import overlay_path, thumbnail_path
from fundusseg.inference.run_journal import JournalEntry
from fundusseg.reports.data_dictionary import dictionary_about, dictionary_names, write_dictionary

MEASURES, REPORT = "measures.csv", "report.html"

WRITTEN = (MEASURES, REPORT, *dictionary_names(MEASURES))
"""What stands for a run that came to its end."""

_SAID = 20
"""Photographs that the terminal names; the report has them all."""

_COLOURS = {"failed": "red", "reject": "red", "review": "yellow", "look at": "yellow"}


def summarise_run(
    entries: Sequence[JournalEntry],
    made_by: Mapping[str, Any],
    output: Path,
    passed_over: Mapping[Path, str],
    place: str | None = None,
) -> int:
    """Write measures.csv with its data dictionary, and report.html.

    Args:
        entries: In order.
        made_by: What made the results.
        output: The output folder, in which the files of the photographs are.
        passed_over: Files that were not taken for photographs, each with the reason.
        place: Where the user finds it all; None for the output folder itself.

    Returns:
        The exit code.
    """
    (output / MEASURES).unlink(missing_ok=True)
    rows = [
        ReportRow(entry.row, overlay_path(output, entry.name), thumbnail_path(output, entry.name)) for entry in entries
    ]
    from fundusseg.inference.measures_dictionary import measures_columns  # with torch's cost, which the run has paid

    names = measures_names([row.columns for row in rows])
    write_dictionary(output / MEASURES, measures_columns(names), dictionary_about(made_by))
    write_whole(output / REPORT, report_html(rows, made_by, output, passed_over))
    # Last: it stands for a run that came to its end.
    write_whole(output / MEASURES, measures_csv(row.columns for row in rows))
    where = (
        f"{place}/{MEASURES}, report in {place}/{REPORT}"
        if place
        else f"{output / MEASURES}, report in {output / REPORT}"
    )
    return _say([row.columns for row in rows], where, passed_over)


def _say(rows: Sequence[Mapping[str, Any]], where: str, passed_over: Mapping[Path, str]) -> int:
    """Print what was done and what was not; returns the exit code."""
    flagged = [(row_status(row), row) for row in rows if row_status(row) in _COLOURS]
    flagged.sort(key=lambda item: list(_COLOURS).index(item[0]))
    for word, row in flagged[:_SAID]:
        why = "; ".join(str(row[key]) for key in ("error", "reasons", "reason") if row.get(key))
        said = f"{'not done' if word == 'failed' else word}: {row['file']}: {why}"
        # A file's name need not be Unicode.
        said = said.encode("utf-8", "backslashreplace").decode("utf-8")
        console.print(said, style=_COLOURS[word], soft_wrap=True, markup=False)
    if len(flagged) > _SAID:
        console.print(f"and {len(flagged) - _SAID} more to look at", soft_wrap=True)
    failed = sum(word == "failed" for word, _ in flagged)
    others = f"; passed over: {count_passed_over(passed_over)}" if passed_over else ""
    console.print(
        f"{len(rows) - failed} of {len(rows)} photographs done{others}; measures in {where}",
        soft_wrap=True,
        markup=False,
    )
    return 1 if failed else 0
