"""What the trainings of a study have scored, picture by picture, gathered from their folders."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fundusseg.reports.files import read_cell
from fundusseg.reports.metric_names import OLD_PROTOCOL_NAMES, VCDR_ERROR
from fundusseg.studies.trainings import Training

ROWS = "images.csv"
MODEL = "model"
FOUND, TRUE = "vertical_cdr", "vertical_cdr_true"
_TEXTS = ("protocol", "method", "source", "name", "patient", "labelled", "error")


def collect_rows(runs: Path, networks: Sequence[Training]) -> pd.DataFrame:
    """Rows of the networks that have been evaluated, in their order.

    Args:
        runs: Folder of all trainings' folders.
        networks: Of the study.

    Returns:
        The columns of each evaluation's table; before them ``training``, ``trained`` (whether other patients of the
        picture's source were trained on), ``fold`` and ``seed``; behind them `VCDR_ERROR`, where there are ratios.
        Empty where nothing has been evaluated.
    """
    parts = []
    for network in networks:
        path = runs / network.key / "evaluation" / ROWS
        if path.is_file():
            rows = _read(path)
            rows = rows[rows["method"] == MODEL].reset_index(drop=True)
            rows.insert(0, "training", network.name)
            # Of the source, not of the picture: no patient who is tested here was trained on by anybody.
            rows.insert(1, "trained", rows["source"].isin(network.sources))
            rows.insert(2, "fold", network.fold)
            rows.insert(3, "seed", network.seed)
            parts.append(rows)
    if not parts:
        return pd.DataFrame()
    whole = pd.concat(parts, ignore_index=True)
    if {FOUND, TRUE} <= set(whole.columns):
        whole[VCDR_ERROR] = np.abs(whole[FOUND] - whole[TRUE])
    return whole


def missing_scores(rows: pd.DataFrame, networks: Sequence[Training]) -> list[str]:
    """What the tables lack, in sentences: networks that have not been evaluated, and pictures not scored.

    Args:
        rows: As `collect_rows` gathers them.
        networks: Of the study.
    """
    scored = set(zip(rows["training"], rows["fold"], rows["seed"], strict=True)) if len(rows) else set()
    absent = [network.key for network in networks if (network.name, network.fold, network.seed) not in scored]
    found = []
    if absent:
        found.append(
            f"Incomplete: {len(absent)} of {len(networks)} networks are not scored ({', '.join(absent)}); their lines "
            "are missing, or rest on fewer pictures or seeds than the others and are not to be compared with them."
        )
    failed = rows.dropna(subset="error") if "error" in rows else rows[:0]
    for (source, name), own in failed.groupby(["source", "name"], sort=True) if len(failed) else ():
        count = len(own[["training", "fold", "seed"]].drop_duplicates())
        found.append(
            f"{source}/{name} is in no figure of {count} networks, as it was not scored: {own['error'].iloc[0]}"
        )
    return found


def _read(path: Path) -> pd.DataFrame:
    """An evaluation's rows; a picture may be called NA, and a source 2024."""
    # Only an empty cell is missing: a name of "NA" or "nan" is a name.
    texts = dict.fromkeys(_TEXTS, str)
    rows = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""], low_memory=False)
    for column in _TEXTS:
        rows[column] = rows[column].map(read_cell, na_action="ignore")
    rows["protocol"] = rows["protocol"].replace(OLD_PROTOCOL_NAMES)  # a study that was begun before goes on
    return rows
