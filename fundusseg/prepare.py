"""Check every file of every dataset, show what is there, and fill the cache.

    python -m fundusseg.prepare --find FOLDER
    python -m fundusseg.prepare --config configs/merged.yaml --data.root FOLDER

Prints a table and every problem by file, and writes contact sheets of the contours for the eye. The exit code is 1 when
something is wrong. Nothing is changed in the datasets.
"""

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from fundusseg.atomic_file import make_folder
from fundusseg.cli import Parser, console, data_section, run
from fundusseg.data.border_weights import BorderWeights
from fundusseg.data.cache_folder import KEPT_DAYS, default_folder, prune
from fundusseg.data.datamodule import FundusDataModule
from fundusseg.data.duplicate_cache import known_duplicates
from fundusseg.data.duplicates import drop_or_refuse
from fundusseg.data.inspection import Inspection
from fundusseg.data.preparation import Preparation
from fundusseg.data.static_variants import Variants
from fundusseg.data.store import PreparedStore, our_code
from fundusseg.data.torch_datasets import MergedStore
from fundusseg.datasets import Phantom
from fundusseg.datasets._find import find
from fundusseg.datasets.base import FundusDataset
from fundusseg.datasets.same_eyes import same_eyes, same_eyes_error
from fundusseg.errors import FundusSegError
from fundusseg.imaging.image_files import write_png
from fundusseg.measures.label_map import label_map
from fundusseg.reports.files import write_json
from fundusseg.reports.overlay import enlarge, overlay, panel
from fundusseg.reports.progress import progress
from fundusseg.reports.tables import terminal_table
from fundusseg.sample import Record, Sample
from fundusseg.xla.process import prepare_process

REPORT = "report.json"

SHEET = (6, 8)
"""Rows and columns of a contact sheet."""

PICTURE_SIZE = 192

SHOWN = 20
"""Doubtful masks of a dataset that are printed; the report has all."""


def parser() -> Parser:
    """The command's arguments."""
    parser = Parser(prog="fundusseg prepare", description=__doc__)
    parser.add_argument("--config", type=str | None, help="YAML whose data section is checked.")
    parser.add_argument("--find", type=str | None, help="Folder of downloads: say which datasets lie in it, no more.")
    parser.add_argument("--output", default="prepared", type=str, help="Folder for report and contact sheets.")
    parser.add_argument(
        "--prune", default=False, type=bool, help=f"Remove stores of older code, or unused for {KEPT_DAYS} days."
    )
    parser.add_class_arguments(FundusDataModule, "data", instantiate=False)
    return parser


def main(arguments: list[str]) -> int:
    """Check; returns the exit code: 0, or 1 when something is wrong."""
    prepare_process()
    command = parser()
    given = command.parse_args(arguments)
    if given.find is not None:
        return say_what_lies_in(given.find)
    config = given.config
    section = [] if config is None else ["--data", json.dumps(data_section(config))]
    settings = command.instantiate(command.parse_args([*section, *arguments]))
    data, output = settings.data, make_folder(Path(settings.output), "report and contact sheets", "--output")
    preparation = Preparation(**{field.name: data[field.name] for field in fields(Preparation)})
    folder = None if data.cache_dir is None else Path(data.cache_dir)
    inspections, stores, records, problems = [], [], [], []
    labelled: set[str] = set()
    for dataset in data.datasets or [Phantom()]:
        dataset = dataset.under(data.root)
        inspection, store = check(dataset, preparation, folder, data.variants, data.border_weights)
        inspections.append(inspection)
        labelled |= {*(inspection.regions or dataset.regions)}  # of what cannot be listed nothing is known
        problems += inspection.problems
        if store is not None:
            stores.append(store)
            records += dataset.records
            write_sheets(store, preparation, output / dataset.source)
    problems += [f"no dataset labels the region {region!r}" for region in preparation.regions if region not in labelled]
    problems += [str(same_eyes_error(*pair)) for pair in same_eyes(data.datasets or [])]
    problems += twice(stores, records, data.drop_duplicates_from, inspections)
    show(inspections, problems)
    remarks = {inspection.source: inspection.remarks for inspection in inspections}
    rows = [inspection.row() for inspection in inspections]
    doubts = {inspection.source: inspection.doubts for inspection in inspections}
    write_json({"datasets": rows, "remarks": remarks, "doubts": doubts, "problems": problems}, output / REPORT)
    if settings.prune:
        _prune(folder or default_folder(), stores)
    console.print(f"{len(problems)} problems; report and contact sheets in {output}", soft_wrap=True)
    return 1 if problems else 0


def _prune(folder: Path, stores: Sequence[PreparedStore]) -> None:
    """Remove what is out of use, and say how much it was."""
    count, size = prune(folder, [store.folder for store in stores], our_code())
    console.print(f"{count} stores out of use removed from {folder}: {size / 1e6:,.0f} MB", soft_wrap=True)


def say_what_lies_in(folder: str) -> int:
    """Print which datasets lie in a folder, and the section that reads them; returns the exit code."""
    result = find(folder)
    for line in result.sentences() or [f"No dataset, and no picture, below {folder}."]:
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    if not result.merged:
        return 1
    console.print("Paste into a configuration:\n", style="bold")
    print(result.section())
    return 0


def check(
    dataset: FundusDataset,
    preparation: Preparation,
    folder: Path | None,
    variants: Variants | None,
    borders: BorderWeights | None,
) -> tuple[Inspection, PreparedStore | None]:
    """Decode everything once, look at it and store it; no store where something cannot be used."""
    inspection = Inspection(dataset.source)
    try:
        inspection.remarks = dataset.remarks()
        with progress(len(dataset), 0, console, f"photographs of {dataset.source}") as advance:

            def visit(record: Record, outcome: Sample | FundusSegError) -> None:
                inspection(record, outcome)
                advance()

            store = PreparedStore.build(dataset, preparation, folder, variants, visit, borders)
            inspection.remarks = dataset.remarks()  # with what only reading the masks tells
            return inspection, store
    except FundusSegError as error:
        files = (*inspection.unreadable, *inspection.empty, *inspection.wrong, *inspection.implausible)
        if not files:  # no single file's fault: the folder, an orphan, a setting
            inspection.fail(error)
        return inspection, None


def write_sheets(store: PreparedStore, preparation: Preparation, name: Path) -> None:
    """Write NAME_001.png, ...: every prepared picture with its labelled contours."""
    rows, columns = SHEET
    times = max(1, round(PICTURE_SIZE / preparation.image_size))
    regions = preparation.regions
    name.parent.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, len(store), rows * columns), 1):
        pictures = []
        for position in range(start, min(start + rows * columns, len(store))):
            target = np.moveaxis(store.targets[position], -1, 0).astype(np.float32) / 255
            image, labels = enlarge(store.images[position, 0], times), enlarge(label_map(target, regions), times)
            pictures.append(overlay(image, labels, regions=regions))
        write_png(name.with_name(f"{name.name}_{number:03}.png"), panel(pictures, columns))


def twice(
    stores: Sequence[PreparedStore],
    records: Sequence[Record],
    drop_from: Sequence[str],
    inspections: Sequence[Inspection],
) -> list[str]:
    """Count near-identical pictures of different patients; a sentence for each pair that no setting decides."""
    if not stores:
        return []
    store = MergedStore(stores)
    patients = [(record.source, record.patient) for record in records]
    pairs = known_duplicates(store, patients, lambda one, two: patients[one] != patients[two])
    of_source = {inspection.source: inspection for inspection in inspections}
    for position in (side for pair in pairs for side in (pair.first, pair.second)):
        of_source[records[position].source].duplicates.add(records[position].key)
    _, left = drop_or_refuse(pairs, lambda position: records[position].source, drop_from)
    return [
        f"near-identical ({pair.correlation:.3f}): {records[pair.first].image} and {records[pair.second].image}"
        for pair in left
    ]


def show(inspections: Sequence[Inspection], problems: Sequence[str]) -> None:
    """Print a column for each dataset, what should be known of it, and every problem."""
    rows = [inspection.row() for inspection in inspections]
    headings, *lines = ([name, *(row[name] for row in rows)] for name in rows[0])
    console.print(terminal_table(headings, lines, "Datasets"))
    for inspection in inspections:
        for remark in inspection.remarks:
            console.print(f"{inspection.source}: {remark}", soft_wrap=True, markup=False, highlight=False)
        for doubt in inspection.doubts[:SHOWN]:
            console.print(f"{inspection.source}: {doubt}", style="yellow", soft_wrap=True, markup=False)
        if (more := len(inspection.doubts) - SHOWN) > 0:
            console.print(f"{inspection.source}: {more} more doubtful masks in the report", style="yellow")
    for problem in problems:
        console.print(problem, style="red", soft_wrap=True, markup=False)


if __name__ == "__main__":
    run(main)
