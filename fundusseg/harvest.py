"""What the trainings of a study have scored, picture by picture, gathered from their folders."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fundusseg.blandaltman import FOUND, TRUE
from fundusseg.crosstable import RATIO_ERROR
from fundusseg.matrix import Training

ROWS = "images.csv"
MODEL = "model"


def harvest(runs: Path, networks: Sequence[Training]) -> pd.DataFrame:
    """Rows of the networks that have been evaluated, in their order.

    Args:
        runs: Folder of all trainings' folders.
        networks: Of the study.

    Returns:
        The columns of each evaluation's table; before them ``training``, ``trained`` (whether other patients of the
        picture's source were trained on), ``fold`` and ``seed``; behind them `RATIO_ERROR`, where there are ratios.
        Empty where nothing has been evaluated.
    """
    parts = []
    for network in networks:
        path = runs / network.key / "evaluation" / ROWS
        if path.is_file():
            rows = pd.read_csv(path, dtype={"name": str, "patient": str}, low_memory=False)
            rows = rows[rows["method"] == MODEL].reset_index(drop=True)
            rows.insert(0, "training", network.name)
            rows.insert(1, "trained", rows["source"].isin(network.sources))
            rows.insert(2, "fold", network.fold)
            rows.insert(3, "seed", network.seed)
            parts.append(rows)
    if not parts:
        return pd.DataFrame()
    whole = pd.concat(parts, ignore_index=True)
    if {FOUND, TRUE} <= set(whole.columns):
        whole[RATIO_ERROR] = np.abs(whole[FOUND] - whole[TRUE])
    return whole
