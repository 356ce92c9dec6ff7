"""Segment photographs and measure their cup/disc ratios.

    python -m fundusseg.predict PHOTOGRAPHS
    python -m fundusseg.predict --checkpoint best.ckpt PHOTOGRAPH FOLDER "2024-*/*.jpg" LIST.csv --output predictions
    find /photographs -name "*.jpg" | python -m fundusseg.predict --checkpoint best.ckpt - --output predictions
    python -m fundusseg.predict --checkpoint best.ckpt s3://BUCKET/FOLDER --output s3://BUCKET/OUT --cluster auto

Writes for each photograph NAME_labels.png (native size; 0 background, 1 rim, 2 cup), NAME_contours.json (to a part of a
pixel) and NAME_overlay.jpg, with --charts true NAME_chart.png too, and for all of them measures.csv and report.html. A
file that cannot be read is listed with its reason, and the rest is done; the exit code is then 1. Files of a folder
that are no photographs are counted by their ending. A run that was stopped goes on where it was when the same command
is given again. On a Ray cluster (--cluster, the extra `cluster`) many machines that see the folders or addresses do
the same, each photograph's results once whatever is lost meanwhile.

DICOM photographs (extra `dicom`) are known by their content, whatever their ending; a DICOMDIR stands for the files
that it names, and each frame of a file of several is a photograph. Their rows say patient, date, device, the camera's
nominal pixel spacing, and remarks: text burned in, tags that contradict one another on the eye. With --dicom true each
leaves NAME_seg.dcm (a segmentation of disc and cup) and NAME_sr.dcm (a structured report: outlines, ratios, interval,
verdict and reasons), whose UIDs follow from their content: the same photograph and bundle give the same objects.

A list is a CSV file with a column `file`, and `eye` where it is known. A network that was trained on disc-centred
crops takes crops in which the disc fills a quarter to four fifths of the side; it segments twice, the second time at
the square that training would have cut. In whole photographs the localiser of a bundle finds the disc, and its square
stays.

Verdicts: `accept`; `review` (blurred, dark, grey, disc at the edge, no cup, a wide interval, localiser and segmenter
that disagree, ...); `reject` (no fundus photograph, no disc), with the reasons and without numbers.

Where a table, a pattern of names, a LIST.csv with a column `patient` or DICOM says whose photographs these are,
patients and eyes are summed up too: patients.csv (right and left side by side, their asymmetry), eyes.csv (a row an
eye, its change over the visits), visits.csv, each with its data dictionary (CSV, JSON, and a CSV that REDCap imports).
Of several photographs of an eye and day the best counts, all are kept. A run that knows no patients removes the tables
of an earlier one, which would stand beside other results.

    python -m fundusseg.predict PHOTOGRAPHS --table visits.csv
    python -m fundusseg.predict PHOTOGRAPHS --pattern "{patient}_{eye}_{date}"

measures.csv holds the cup/disc ratios, axes and tilt of disc and cup, the narrowest rim/disc ratio with its place
(that of the Disc Damage Likelihood Scale), degrees without rim, mean rim width by quadrant and whether the ISNT order
is kept. Angles and clock hours are a right eye's: 12 superior, 3 nasal, 6 inferior, 9 temporal; a left eye is mirrored
first. The eye is taken from the list, the DICOM file, the file's name, or else the picture; where none tells, nothing
is called nasal or temporal. Square millimetres are given only with --millimetres_per_pixel.
"""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from jsonargparse import Namespace

from fundusseg.cli import Parser, add_trust, console, parse_trusting, run
from fundusseg.cluster.resources import Resources, add_cluster, resources_of
from fundusseg.errors import ConfigurationError
from fundusseg.inference.dicom_results import algorithm_of, check_dicom
from fundusseg.inference.photograph_list import Photograph, find_photographs
from fundusseg.inference.photograph_stages import photograph_rows
from fundusseg.inference.precision import Precision
from fundusseg.inference.pretrained import pretrained_bundle
from fundusseg.inference.provenance import provenance
from fundusseg.inference.run_journal import Journal, JournalEntry
from fundusseg.inference.summary import MEASURES, summarise_run
from fundusseg.measures.label_map import Smoothing
from fundusseg.measures.repeatability import Repeatability
from fundusseg.patients.identity import find_identities
from fundusseg.patients.run_files import RunFiles, remove_tables
from fundusseg.patients.site_repeatability import read_repeatability
from fundusseg.patients.summary import check_spared, summarise_patients
from fundusseg.reports.progress import progress
from fundusseg.runtimes.choices import Runtime

if TYPE_CHECKING:
    from fundusseg.inference import Predictor

DEFAULT_OUTPUT = "predictions"


def parser() -> Parser:
    """The command's arguments."""
    parser = Parser(prog="fundusseg predict", description=__doc__)
    parser.add_argument(
        "photographs", nargs="+", type=str, help="Files, folders, quoted patterns, CSV lists, or - for standard input."
    )
    parser.add_argument(
        "--checkpoint", default=None, type=str | None, help="What fit or bundle wrote [the package's own]."
    )
    parser.add_argument("--output", default=None, type=str | None, help="Folder for the results [predictions].")
    parser.add_argument("--device", default="cpu", type=str, help="cpu, cuda, cuda:1, tpu, ...")
    parser.add_argument("--runtime", default="torch", type=Runtime, help="What computes the networks (extra `export`).")
    parser.add_argument("--precision", default="32-true", type=Precision, help="bf16: faster; edges move by pixels.")
    parser.add_argument("--compile", default=False, type=bool, help="Compile the networks first: for many photographs.")
    parser.add_argument("--views", default=None, type=int | None, help="Mirrored views of each, 1 to 4 [the bundle's].")
    parser.add_argument("--smoothing", default="none", type=Smoothing, help="Of disc and cup.")
    parser.add_argument(
        "--convention",
        default="consensus",
        type=float | str,
        help="Whose cup: consensus, a reader of the bundle (drishti_gs, ...), or -1 (strictest) to 1 (most generous).",
    )
    parser.add_argument("--millimetres_per_pixel", default=None, type=float | None, help="Gives areas in mm2.")
    parser.add_argument("--charts", default=False, type=bool, help="A chart of every eye: outlines, rim, numbers.")
    parser.add_argument("--dicom", default=False, type=bool, help="SEG and SR of every DICOM photograph.")
    parser.add_argument("--workers", default=1, type=int, help="Processes, which share the cores.")
    parser.add_argument(
        "--overwrite", action="store_true", help="Begin anew, also in a folder of another checkpoint's results."
    )
    parser.add_argument("--table", default=None, type=str | None, help="CSV: file, patient, eye, date of photographs.")
    parser.add_argument(
        "--pattern",
        default=None,
        type=str | None,
        help="Of the files' names: '{patient}_{eye}_{date}', * for anything.",
    )
    parser.add_argument(
        "--repeatability", default=None, type=str | None, help="A site's own error of the measures [the package's]."
    )
    add_cluster(parser, "each process that segments")
    parser.add_argument(
        "--packed", default=False, type=bool, help="On a cluster: 512 photographs' files in one Parquet file."
    )
    add_trust(parser)
    return parser


def main(arguments: list[str]) -> int:
    """Predict; returns the exit code: 0, 1 when a file could not be done, 130 or 143 when stopped."""
    _refuse_former(arguments)
    settings = parse_trusting(parser(), arguments)
    resources = resources_of(settings)
    _check_workers(settings, resources)
    if resources is None:
        _require_cluster(settings)
    checkpoint = Path(settings.checkpoint) if settings.checkpoint else pretrained_bundle()
    # torch takes seconds to load: help and mistakes on the command line do not wait for it.
    from fundusseg.inference.predictor import Predictor
    from fundusseg.xla.process import compute_device, prepare_process

    prepare_process()
    device = compute_device(settings.device)
    names = ("views", "smoothing", "millimetres_per_pixel", "convention", "runtime", "precision")
    options = {name: getattr(settings, name) for name in names} | {"compiled": settings.compile}
    predictor = Predictor.from_checkpoint(checkpoint, device, **options)
    made_by = provenance(predictor, checkpoint) | {"charts": settings.charts}
    if settings.runtime != "torch":
        made_by["runtime"] = settings.runtime
    with _stoppable():
        try:
            if resources is not None:
                return _predict_elsewhere(settings, checkpoint, made_by, resources, options)
            return _predict_here(settings, predictor, checkpoint, made_by, options)
        except KeyboardInterrupt as stop:
            console.print("stopped; the same command goes on where this one was", style="yellow")
            return 128 + (signal.SIGTERM if isinstance(stop, _Terminated) else signal.SIGINT)


def _predict_here(
    settings: Namespace, predictor: "Predictor", checkpoint: Path, made_by: dict[str, Any], options: dict[str, Any]
) -> int:
    """Predict on this machine; returns the exit code."""
    output = Path(settings.output or DEFAULT_OUTPUT)
    check_spared(filter(None, (settings.table, settings.repeatability, *settings.photographs)), output)
    listed = find_photographs(settings.photographs, output)
    table = Path(settings.table) if settings.table else None
    identities = find_identities(listed.photographs, table, settings.pattern, settings.photographs)
    repeatability = _repeatability(settings)
    algorithm = None
    if settings.dicom:
        check_dicom(identities.photographs)
        algorithm, made_by = algorithm_of(checkpoint), made_by | {"dicom": True}
    with Journal(output, made_by, settings.overwrite) as journal:
        left = photographs_left(identities.photographs, journal)
        if settings.workers == 1 or len(left) < 2:
            rows = photograph_rows(predictor, left, journal, charts=settings.charts, algorithm=algorithm)
        else:
            from fundusseg.cluster.processes import LocalWork, rows_of_processes

            how = (settings.device, options, settings.charts, algorithm, tuple(settings.trust))
            rows = rows_of_processes(LocalWork(checkpoint, output, journal.partial, *how), left, settings.workers)
        note(rows, journal, len(identities.photographs), len(left))
        entries = journal.order([photograph.name for photograph in identities.photographs])
        summarise_patients(entries, identities, made_by, RunFiles(output), repeatability)
        return summarise_run(entries, made_by, output, listed.passed_over)


def _predict_elsewhere(
    settings: Namespace, checkpoint: Path, made_by: dict[str, Any], resources: Resources, options: dict[str, Any]
) -> int:
    """Predict on a cluster; returns the exit code."""
    from fundusseg.cluster.prediction import Work, predict_on_cluster
    from fundusseg.cluster.run_summary import Patients

    table = Path(settings.table) if settings.table else None
    given = tuple(filter(None, (settings.table, settings.repeatability)))
    patients = Patients(table, settings.pattern, _repeatability(settings), given)
    algorithm = None
    if settings.dicom:
        algorithm, made_by = algorithm_of(checkpoint), made_by | {"dicom": True}
    output, trusted = settings.output or DEFAULT_OUTPUT, tuple(settings.trust)
    work = Work(output, settings.device, options, settings.charts, settings.packed, algorithm, trusted)
    return predict_on_cluster(settings.photographs, checkpoint, work, made_by, resources, patients, settings.overwrite)


def _repeatability(settings: Namespace) -> Repeatability:
    """A site's own error of the measures, or the package's."""
    return read_repeatability(Path(settings.repeatability)) if settings.repeatability else Repeatability()


def _check_workers(settings: Namespace, resources: Resources | None) -> None:
    """Refuse processes where something else decides how many there are."""
    if settings.workers < 1:
        raise ConfigurationError(f"{settings.workers} workers", "1 or more", "correct --workers")
    other = "--cluster" if resources is not None else f"--device {settings.device}"
    if settings.workers > 1 and (resources is not None or settings.device in ("tpu", "xla")):
        raise ConfigurationError(f"--workers {settings.workers} with {other}", "one of the two", "leave --workers out")


def _require_cluster(settings: Namespace) -> None:
    """Refuse what is done on a cluster alone."""
    addresses = [name for name in (*settings.photographs, settings.output or "") if "://" in name]
    if addresses or settings.packed:
        raise ConfigurationError(
            f"{addresses[0] if addresses else '--packed'} without --cluster", "both", "add --cluster local"
        )


def photographs_left(photographs: Sequence[Photograph], journal: Journal) -> list[Photograph]:
    """Photographs that the journal does not hold yet."""
    fresh = [(photograph, JournalEntry.of_photograph(photograph, {})) for photograph in photographs]
    left = [photograph for photograph, entry in fresh if not journal.keep(entry, str(photograph.path))]
    if left:
        # Tables stand for a run that came to its end.
        (journal.output / MEASURES).unlink(missing_ok=True)
        remove_tables(journal.output)
    return left


def note(rows: Iterator[tuple[Photograph, dict[str, Any]]], journal: Journal, total: int, left: int) -> None:
    """Note each photograph once its files are written, and show how far the run is.

    Args:
        rows: Of the photographs that are left.
        journal: Of the output folder.
        total: Photographs of the whole list.
        left: Photographs of ``rows``.
    """
    with progress(total, total - left, console) as advance:
        for photograph, row in rows:
            journal.add(JournalEntry.of_photograph(photograph, row))
            advance()


def _refuse_former(arguments: Sequence[str]) -> None:
    """Say what has taken the place of options that earlier versions had."""
    for option in ("--shard", "--merge"):
        if any(argument.partition("=")[0] == option for argument in arguments):
            raise ConfigurationError(
                f"{option}, which is no more",
                "one run over the whole list, which needs no joining",
                "leave it out; --cluster shares the list between machines",
            )


class _Terminated(KeyboardInterrupt):
    """SIGTERM came: schedulers know its exit code, 143, for "told to stop"."""


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise _Terminated


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM, which ends a job of a cluster, stop the run as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    run(main)
