"""The end of a run: measures.csv, report.html, and what is said in the terminal; of one run or of merged shards."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fundusseg.atomic_file import write_whole
from fundusseg.cli import console
from fundusseg.errors import ConfigurationError
from fundusseg.inference.output_files import measures_csv, overlay_path, thumbnail_path
from fundusseg.inference.photograph_list import count_passed_over
from fundusseg.inference.report_page import ReportRow, report_html, row_status
from fundusseg.inference.run_journal import (
    JournalEntry,
    journals_by_shard,
    read_entries,
    read_passed_over,
    read_provenance,
)
from fundusseg.reports.files import difference

_SAID = 20
"""Photographs that the terminal names; the report has them all."""

_COLOURS = {"failed": "red", "reject": "red", "review": "yellow", "look at": "yellow"}


def summarise_run(
    entries: Sequence[tuple[JournalEntry, Path]],
    made_by: Mapping[str, Any],
    output: Path,
    passed_over: Mapping[Path, str],
    missing: Sequence[str] = (),
) -> int:
    """Write measures.csv and report.html.

    Args:
        entries: In order, each with the output folder that its files are in.
        made_by: What made the results.
        output: Where to write.
        passed_over: Files that were not taken for photographs, each with the reason.
        missing: Sentences on what should be there and is not.

    Returns:
        The exit code.
    """
    rows = [
        ReportRow(entry.row, overlay_path(folder, entry.name), thumbnail_path(folder, entry.name))
        for entry, folder in entries
    ]
    write_whole(output / "measures.csv", measures_csv(row.columns for row in rows))
    write_whole(output / "report.html", report_html(rows, made_by, output, missing, passed_over))
    where = f"{output / 'measures.csv'}, report in {output / 'report.html'}"
    code = _say([row.columns for row in rows], where, passed_over)
    for sentence in missing:
        console.print(sentence, style="red", soft_wrap=True, markup=False)
    return 1 if missing else code


def summarise_shard(
    entries: Sequence[JournalEntry], shard: tuple[int, int], output: Path, passed_over: Mapping[Path, str]
) -> int:
    """Write one shard's table; returns the exit code."""
    path = shard_table_path(output, shard)
    write_whole(path, measures_csv(entry.row for entry in entries))
    code = _say([entry.row for entry in entries], str(path), passed_over)
    console.print(f"join the {shard[1]} parts: python -m fundusseg.predict --merge {output}", soft_wrap=True)
    return code


def shard_table_path(output: Path, shard: tuple[int, int]) -> Path:
    """The table of a shard; of a run that is not divided, measures.csv."""
    return output / ("measures.csv" if shard == (1, 1) else "measures-{}-of-{}.csv".format(*shard))


def merge_shards(folders: Sequence[Path], output: Path) -> int:
    """Join the shards in some output folders to one measures.csv and report.html, in the order of the whole list.

    Args:
        folders: Output folders; pictures stay in them.
        output: Where to write.

    Returns:
        The exit code: 1 where a photograph failed or a shard is missing or not at its end.

    Raises:
        FundusSegError: A folder holds no results.
        ConfigurationError: Results of different checkpoints or divisions.
    """
    found = journals_by_shard(folders)
    made_by = read_provenance(folders[0]) or {}
    for folder in folders[1:]:
        if other := difference(made_by, read_provenance(folder) or {}):
            raise ConfigurationError(
                f"results from another {other} in {folder} than in {folders[0]}",
                "one checkpoint's results",
                "merge them apart",
            )
    count = max(count for _, count in found)
    missing = [f"Shard {i}/{count} is missing." for i in range(1, count + 1) if (i, count) not in found]
    entries: dict[str, tuple[JournalEntry, Path]] = {}
    for shard, paths in found.items():
        # Where two runs did one photograph, the later one's entry counts, but never a failure over a success.
        for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns):
            folder = path.parents[1]
            if not shard_table_path(folder, shard).is_file():
                missing.append(f"Shard {shard[0]}/{shard[1]} in {folder} is not at its end.")
            for entry in read_entries(path):
                before = entries.get(entry.path)
                if before is None or before[0].row["error"] or not entry.row["error"]:
                    entries[entry.path] = (entry, folder)
    ordered = sorted(entries.values(), key=lambda item: (item[0].position, item[0].name))
    passed_over = {path: reason for folder in folders for path, reason in read_passed_over(folder).items()}
    return summarise_run(ordered, made_by, output, passed_over, missing)


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
