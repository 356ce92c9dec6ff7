"""A sheet of two runs: a cell for each photograph and run, drawn from what predict left."""

import csv
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fundusseg.imaging.image_files import read_photograph
from fundusseg.reports.overlay import DISC_COLOUR
from tests.support.located import CUP, DISC, photograph

TOOL = Path(__file__).parents[2] / "tools" / "contact_sheet.py"


def run(*arguments):
    command = [sys.executable, str(TOOL), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def runs(tmp_path):
    """Two runs over two photographs; the second of them found no disc in the second photograph."""
    image = photograph()
    labels = DISC.mask(image.shape[:2]).astype(np.uint8) + CUP.mask(image.shape[:2])
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), image[..., ::-1])
    for folder, drawn in (("before", "ab"), ("after", "a")):
        (tmp_path / folder).mkdir()
        with (tmp_path / folder / "measures.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["file", "error", "verdict", "reasons", "eye", "vertical_cdr"])
            for name in "ab":
                found = name in drawn
                table.writerow([tmp_path / f"{name}.png", "", "accept" if found else "reject", "", "OD", "0.5" * found])
                cv2.imwrite(str(tmp_path / folder / f"{name}_labels.png"), labels * found)
    return tmp_path


def blue(cell):
    return int((np.abs(cell.astype(int) - DISC_COLOUR).max(axis=2) < 60).sum())


@pytest.mark.slow
def test_each_run_has_a_cell_with_its_own_outline(runs):
    done = run(runs / "before", runs / "after", "--output", runs / "sheet.jpg", "--columns", 1, "--size", 160)
    assert done.returncode == 0, done.stderr
    sheet = read_photograph(runs / "sheet.jpg")
    high = (sheet.shape[0] - 3) // 2
    assert sheet.shape[1] == 320 and high == 160 + 64
    both, first = sheet[:160], sheet[high + 3 : high + 163]
    assert min(blue(both[:, :160]), blue(both[:, 160:]), blue(first[:, :160])) > 100 > 20 > blue(first[:, 160:])
    # A disc of 90 pixels in 2.6 times as many, shown in 160: 160 / 2.6 = 62 pixels high.
    rows = np.flatnonzero((np.abs(both[:, :160].astype(int) - DISC_COLOUR).max(axis=2) < 60).any(axis=1))
    assert abs(rows[-1] - rows[0] - 160 / 2.6) < 4


@pytest.mark.slow
def test_only_those_named_and_clear_words_where_there_is_nothing(runs):
    sheet = runs / "one.jpg"
    assert run(runs / "before", "--only", "b*", "--output", sheet).returncode == 0
    assert read_photograph(sheet).shape == (280 + 64, 280, 3)
    for arguments in ([runs / "before", "--only", "c"], [runs]):
        done = run(*arguments, "--output", sheet)
        assert done.returncode == 1 and "expected" in done.stderr and "Traceback" not in done.stderr
