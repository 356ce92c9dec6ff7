"""The tools that measure repeatability and simulate patients run, and find what was put in."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from fundusseg.measures.repeatability import MEASURES, Repeatability
from fundusseg.patients.alignment import Disc, align
from fundusseg.patients.site_repeatability import read_repeatability
from fundusseg.reports.files import write_csv
from tests.support.visits import fundus

TOOLS = Path(__file__).parents[2] / "tools"


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tool():
    yield load("measure_repeatability")
    del sys.modules["measure_repeatability"]


@pytest.fixture(scope="module")
def simulation():
    yield load("simulate_patients")
    del sys.modules["simulate_patients"]


@pytest.mark.parametrize("seed", range(3))
def test_a_photograph_taken_anew_lies_where_its_matrix_says(tool, seed):
    image, labels = fundus()
    again, there = tool.rephotograph(image, np.random.default_rng(seed))
    assert again.shape == image.shape and np.abs(again.astype(int) - image).mean() > 1
    disc = Disc.of(labels)
    centre = np.linalg.inv(there) @ (disc.x, disc.y, 1)
    found = align(image, disc, again, Disc(centre[0], centre[1], disc.diameter))
    assert found.marks >= 10
    assert tool.alignment_error(found, there, Disc(centre[0], centre[1], disc.diameter)) < 0.02 * disc.diameter


def test_the_table_is_one_that_predict_takes(tool, tmp_path):
    repetitions = tool.Repetitions(predictor=None)
    random = np.random.default_rng(0)
    for _ in range(200):
        mean = random.uniform(0.2, 0.6)
        eye = [dict.fromkeys(MEASURES, mean + random.normal(0, 0.04)) for _ in range(3)]
        repetitions.eyes.setdefault("simulated", []).append(eye)
    repetitions.eyes["saved_anew"] = [[dict.fromkeys(MEASURES, 0.5)] * 2] * 500  # tells nothing of taking it twice
    table = repetitions.table()
    write_csv(table, tmp_path / "own.csv")
    found = read_repeatability(tmp_path / "own.csv")
    assert found.sd("vertical_cdr") == pytest.approx(0.04, rel=0.1)
    assert table[0]["smallest_detectable_change"] == pytest.approx(found.smallest_change("vertical_cdr"))
    assert table[0]["eyes"] == 200 and table[0]["degrees_of_freedom"] == 400


@pytest.mark.slow
def test_simulated_patients_are_told_what_is_true_of_them(simulation):
    known = Repeatability({**Repeatability().within_eye, "vertical_cdr": 0.02})
    random = np.random.default_rng(3)
    patients, truths = simulation.simulated(45, 4, random.normal(0, 0.02, 10_000), random)
    found = simulation.figures(patients, truths, 4, known)
    assert found["eyes"] == 90 and found["stable eyes"] == 30 and found["patients with an asymmetry"] == 45
    assert abs(found["bias of the change over all visits"]) < 0.01 and abs(found["bias of the asymmetry"]) < 0.01
    # Within what chance does to so few: 500 eyes are run by hand.
    assert found["coverage of its interval"] > 0.86 and found["coverage of its interval (asymmetry)"] > 0.82
    assert found["false alarms"] < 0.2 and found["power at a change of 0.1"] > 0.8
