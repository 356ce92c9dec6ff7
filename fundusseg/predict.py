"""Segment photographs and measure their cup/disc ratios.

    python -m fundusseg.predict --checkpoint best.ckpt PHOTOGRAPH --output predictions
    python -m fundusseg.predict --checkpoint best.ckpt FOLDER --output predictions

Writes for each photograph NAME_labels.png (native size; 0 background, 1 rim, 2 cup) and NAME_overlay.png, and one row
in measures.csv. A file that cannot be read is listed with its reason, and the rest is done; the exit code is then 1.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from fundusseg.cli import Parser, console, prepare_process, run
from fundusseg.errors import FundusSegError, ImageError
from fundusseg.images import SUFFIXES, read_photograph, write_png
from fundusseg.plot import overlay
from fundusseg.predictor import Predictor
from fundusseg.report import write_csv


def parser() -> Parser:
    """The command's arguments."""
    parser = Parser(prog="fundusseg predict", description="Segment photographs and measure their cup/disc ratios.")
    parser.add_argument("photographs", nargs="+", type=str, help="Photographs, or folders of them.")
    parser.add_argument("--checkpoint", required=True, type=str, help="What fit wrote.")
    parser.add_argument("--output", default="predictions", type=str, help="Folder for the results.")
    parser.add_argument("--device", default="cpu", type=str, help="cpu, cuda, cuda:1, ...")
    return parser


def main(arguments: list[str]) -> int:
    """Predict; returns the exit code: 0, or 1 when a file could not be done."""
    prepare_process()
    settings = parser().parse_args(arguments)
    predictor = Predictor.from_checkpoint(settings.checkpoint, settings.device)
    photographs = find_photographs(settings.photographs)
    output = Path(settings.output)
    rows = []
    columns = (*Progress.get_default_columns()[:1], BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        for path, name in progress.track(photographs.items(), description="Photographs"):
            rows.append(predict_file(predictor, path, output / name))
    write_csv(rows, output / "measures.csv")
    failed = [row for row in rows if row["error"]]
    for row in failed:
        console.print(f"not done: {row['error']}", style="red", soft_wrap=True, markup=False)
    done = len(rows) - len(failed)
    console.print(f"{done} of {len(rows)} photographs done; measures in {output / 'measures.csv'}", soft_wrap=True)
    return 1 if failed else 0


def predict_file(predictor: Predictor, path: Path, output: Path) -> dict[str, Any]:
    """Segment one file and write its pictures; a failure is a row of its own.

    Args:
        predictor: The network.
        path: A photograph.
        output: Results' path without ``_labels.png``.

    Returns:
        A row of measures.csv.
    """
    row: dict[str, Any] = {"file": str(path), "error": ""}
    try:
        image = read_photograph(path)
        prediction = predictor(image)
        output.parent.mkdir(parents=True, exist_ok=True)
        write_png(output.with_name(f"{output.name}_labels.png"), prediction.label_map)
        write_png(output.with_name(f"{output.name}_overlay.png"), overlay(image, prediction.label_map))
        row |= asdict(prediction.measures)
    except FundusSegError as error:
        row["error"] = str(error)
    return row


def find_photographs(arguments: Sequence[str]) -> dict[Path, str]:
    """The files to do, each with the name of its results below the output folder.

    Folders keep their inner structure. Names that would fall together keep their ending as well.

    Raises:
        ImageError: A path does not exist, or a folder holds no photograph.
    """
    found: dict[Path, Path] = {}
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.name[0] != ".")
            if not inside:
                raise ImageError(f"no photograph below {path}", f"files ending in {sorted(SUFFIXES)}", "check the path")
            found |= {file: file.relative_to(path) for file in inside}
        elif path.is_file():
            found[path] = Path(path.name)
        else:
            raise ImageError(f"no file or folder at {path}", "a photograph or a folder of them", "check the path")
    stems = Counter(name.with_suffix("") for name in found.values())
    return {
        path: str(name if stems[name.with_suffix("")] > 1 else name.with_suffix("")) for path, name in found.items()
    }


if __name__ == "__main__":
    run(main)
