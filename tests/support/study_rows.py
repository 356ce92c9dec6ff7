"""A study's rows, whose names no format may spoil."""

import math

import numpy as np
import pandas as pd


def study_rows() -> pd.DataFrame:
    """Three trainings on two sources of ten pictures; vertical ratios are 0.03 too large, source ``c%`` has no cups."""
    generator = np.random.default_rng(0)
    found = []
    for training in ("all", "a_b <1>", "disc & only"):
        for source in ("a_b <1>", "c%"):
            for number in range(10):
                cup = training != "disc & only" and source != "c%"
                dice, true = 0.9 + 0.01 * generator.normal(), 0.5 + 0.02 * number
                found.append(
                    {
                        "training": training,
                        "trained": training in ("all", source),
                        "fold": 0,
                        "seed": 1,
                        "protocol": "automatic_roi",
                        "method": "model",
                        "source": source,
                        "name": str(number),
                        "patient": str(number),
                        "labelled": "disc cup" if cup else "disc",
                        "disc_dice": dice,
                        "cup_dice": dice - 0.05 if cup else math.nan,
                        "vertical_cdr": true + 0.03 if cup else math.nan,
                        "vertical_cdr_true": true if cup else math.nan,
                        "vertical_cdr_error": 0.03 if cup else math.nan,
                    }
                )
    return pd.DataFrame(found)
