"""What the columns of an evaluation's tables mean, as data dictionaries beside them."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fundusseg import __version__
from fundusseg.evaluation.estimates import Estimate
from fundusseg.evaluation.model_comparison import ModelComparison
from fundusseg.measures.cup_disc import Measures
from fundusseg.measures.paired_tests import Difference
from fundusseg.reports.data_dictionary import Column, described_columns, dictionary_names, write_dictionary
from fundusseg.reports.metric_names import METRIC_NAMES

TABLES = ("images.csv", "figures.csv", "reliability.csv", "differences.csv")

_METHOD = (
    Column("protocol", "How the pictures were put before the networks", "text"),
    Column("method", "Whose numbers: the model's, the other model's, an expert's", "text"),
)
_PICTURE = (
    Column("source", "The dataset", "text"),
    Column("name", "Of the picture in its dataset", "text", identifies=True),
    Column("patient", "Of the picture", "text", identifies=True),
    Column("diagnosis", "As the dataset says it", "text"),
    Column("eye", "Right or left", "category", choices={"OD": "right eye", "OS": "left eye"}),
    Column("seen", "What training knows of the picture", "text"),
    Column("labelled", "Regions that the dataset labels in it", "text"),
    Column("verdict", "accept, review or reject", "text"),
    Column("error", "Why it could not be scored", "text"),
)
_CURVE = (
    Column("region", "Disc or cup", "text"),
    Column("bin", "Number of the bin of predicted probabilities", "integer"),
    Column("probability", "Mean predicted probability of the bin's pixels"),
    Column("share", "Share of them that the ground truth marks"),
    Column("pixels", "How many they are", "integer"),
)


def write_dictionaries(folder: Path, made_by: Mapping[str, Any]) -> None:
    """Write the dictionary of each table of a folder; those of a table that is not there are taken away."""
    about = {"fundusseg": __version__, **made_by}
    for name in TABLES:
        if (folder / name).is_file():
            with (folder / name).open(encoding="utf-8", newline="") as lines:
                names = next(csv.reader(lines), [])
            write_dictionary(folder / name, table_columns(name, names), about, redcap=False)
        else:
            for beside in dictionary_names(name):
                (folder / beside).unlink(missing_ok=True)


def table_columns(table: str, names: Iterable[str]) -> list[Column]:
    """A table's columns by name, in their order."""
    described = {
        "figures.csv": described_columns(Estimate),
        "differences.csv": [*described_columns(ModelComparison), *described_columns(Difference), *_VERDICT],
        "reliability.csv": _CURVE,
        "images.csv": described_columns(Measures),
    }
    known = {column.name: column for column in (*_METHOD, *_PICTURE, *described[table])}
    return [known.get(name) or _metric(name) for name in names]


_VERDICT = (
    Column("p_holm", "p, adjusted to the whole table (Holm)"),
    Column("verdict", "better, worse, or no difference, of the model against the other", "text"),
)


def _metric(name: str) -> Column:
    """A metric by its key, of a region by the region's name before it, or of the ground truth by ``_true`` after it."""
    unit = "disc diameters" if name.endswith("_dd") else "pixels" if name.endswith(("hd95", "assd", "distance")) else ""
    region, _, rest = name.partition("_")
    if name in METRIC_NAMES:
        return Column(name, METRIC_NAMES[name], unit=unit)
    if rest in METRIC_NAMES:
        return Column(name, f"{METRIC_NAMES[rest]} of the {region}", unit=unit)
    if name.endswith("_true"):
        return Column(name, f"{name.removesuffix('_true')} of the ground truth")
    return Column(name, name.replace("_", " "))
