"""Segment photographs and measure their cup/disc ratios.

    python -m fundusseg.predict --checkpoint best.ckpt PHOTOGRAPH --output predictions
    python -m fundusseg.predict --checkpoint best.ckpt FOLDER --output predictions

Writes for each photograph NAME_labels.png (native size; 0 background, 1 rim, 2 cup) and NAME_overlay.png, and one row
in measures.csv. A file that cannot be read is listed with its reason, and the rest is done; the exit code is then 1.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from fundusseg import xla
from fundusseg.cli import Parser, console, prepare_process, run
from fundusseg.errors import ImageError
from fundusseg.images import SUFFIXES, read_photograph, write_png
from fundusseg.measures import Measures
from fundusseg.plot import overlay
from fundusseg.predictor import Predictor


def parser() -> Parser:
    """The command's arguments."""
    parser = Parser(prog="fundusseg predict", description="Segment photographs and measure their cup/disc ratios.")
    parser.add_argument("photographs", nargs="+", type=str, help="Photographs, or folders of them.")
    parser.add_argument("--checkpoint", required=True, type=str, help="What fit wrote.")
    parser.add_argument("--output", default="predictions", type=str, help="Folder for the results.")
    parser.add_argument("--device", default="cpu", type=str, help="cpu, cuda, cuda:1, tpu, ...")
    return parser


def main(arguments: list[str]) -> int:
    """Predict; returns the exit code: 0, or 1 when a file could not be done."""
    prepare_process()
    settings = parser().parse_args(arguments)
    device = str(xla.device()) if settings.device in ("tpu", "xla") else settings.device
    predictor = Predictor.from_checkpoint(settings.checkpoint, device)
    output = Path(settings.output)
    photographs = find_photographs(settings.photographs, output)
    rows = []
    columns = (*Progress.get_default_columns()[:1], BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with table(output / "measures.csv") as add, Progress(*columns, console=console, transient=True) as progress:
        for path, name in progress.track(photographs.items(), description="Photographs"):
            rows.append(predict_file(predictor, path, output / name))
            add(rows[-1])
    return _report(rows, output)


def predict_file(predictor: Predictor, path: Path, output: Path) -> dict[str, Any]:
    """Segment one file and write its pictures; a failure is a row of its own.

    Args:
        predictor: The network.
        path: A photograph.
        output: Results' path without ``_labels.png``.

    Returns:
        A row of measures.csv.
    """
    try:
        image = read_photograph(path)
        prediction = predictor(image)
        picture = overlay(image, prediction.label_map, regions=predictor.description.preparation.regions)
        output.parent.mkdir(parents=True, exist_ok=True)
        write_png(output.with_name(f"{output.name}_labels.png"), prediction.label_map)
        write_png(output.with_name(f"{output.name}_overlay.png"), picture)
    except Exception as error:  # whatever is wrong with one file, the others are done
        return {"file": str(path), "error": str(error) or type(error).__name__, **asdict(Measures())}
    return {"file": str(path), "error": "", **asdict(prediction.measures)}


@contextmanager
def table(path: Path) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A CSV file that takes row by row, so that a killed run keeps what it has measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["file", "error", *(field.name for field in fields(Measures))])
        writer.writeheader()

        def add(row: dict[str, Any]) -> None:
            writer.writerow({key: "" if value != value else value for key, value in row.items()})  # NaN is left empty
            file.flush()

        yield add


def find_photographs(arguments: Sequence[str], output: Path) -> dict[Path, str]:
    """The files to do, each with the name of its results below the output folder.

    Folders keep their inner structure; what lies in the output folder is passed over. Names that would fall together
    keep their ending as well.

    Raises:
        ImageError: A path does not exist, a folder holds no photograph, or two photographs have one name.
    """
    found: dict[Path, Path] = {}
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            inside = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES and p.name[0] != "."]
            inside = [file for file in inside if output.resolve() not in file.resolve().parents]
            if not inside:
                raise ImageError(f"no photograph below {path}", f"files ending in {sorted(SUFFIXES)}", "check the path")
            found |= {file: file.relative_to(path) for file in inside}
        elif path.is_file():
            found[path] = Path(path.name)
        else:
            raise ImageError(f"no file or folder at {path}", "a photograph or a folder of them", "check the path")
    stems = Counter(name.with_suffix("") for name in found.values())
    names = {path: str(n if stems[n.with_suffix("")] > 1 else n.with_suffix("")) for path, n in found.items()}
    owner: dict[str, Path] = {}
    for path, name in names.items():
        if owner.setdefault(name, path) != path:
            raise ImageError(
                f"two photographs of one name: {owner[name]} and {path}",
                "names that differ, as the results are named after them",
                "run their folders one after the other, each with its own --output",
            )
    return names


def _report(rows: Sequence[dict[str, Any]], output: Path) -> int:
    """Print what was done and what was not."""
    failed = [row for row in rows if row["error"]]
    for row in failed:
        console.print(f"not done: {row['file']}: {row['error']}", style="red", soft_wrap=True, markup=False)
    for row in rows:
        if row["reason"]:
            console.print(f"look at: {row['file']}: {row['reason']}", style="yellow", soft_wrap=True, markup=False)
    done = len(rows) - len(failed)
    console.print(f"{done} of {len(rows)} photographs done; measures in {output / 'measures.csv'}", soft_wrap=True)
    return 1 if failed else 0


if __name__ == "__main__":
    run(main)
