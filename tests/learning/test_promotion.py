"""A challenger is promoted where it is better on the frozen set, and nowhere where it is worse beyond chance."""

import pytest

from fundusseg.evaluation.model_comparison import ModelComparison
from fundusseg.learning.corrections import CHOSEN, FROZEN, part_of
from fundusseg.learning.promotion import decide
from fundusseg.measures.paired_tests import Difference


def cell(
    source: str, mean: float, p: float = 0.001, patients: int = 20, metric: str = "dice", table: int = 1
) -> ModelComparison:
    """A number whose own probability is p, and after Holm over the table so many times that."""
    sure = abs(mean) / 2
    difference = Difference(patients, 0, mean, mean - sure, mean + sure, p, patients)
    return ModelComparison("automatic_roi", source, "cup", metric, 0.8 + mean, 0.8, difference, min(1, table * p))


@pytest.mark.parametrize(
    ("cells", "promoted", "reason"),
    [
        ([cell("site", 0.05)], True, "better beyond chance"),
        ([cell("site", 0.05), cell("public", 0.01, p=0.4)], True, "worse nowhere"),
        ([cell("site", 0.05), cell("public", -0.05)], False, "worse: public"),
        ([cell("site", 0.05, p=0.06), cell("public", 0.05)], False, "no number of the frozen set"),
        ([cell("site", -0.05)], False, "worse: site"),
        ([cell("site", 0.05, patients=7)], False, "fewer than 8"),
        ([], False, "fewer than 8"),
        # a table of many numbers takes nothing from the three that were stated beforehand
        ([cell("site", 0.05, p=0.01, table=30)], True, "better beyond chance"),
        ([cell("site", 0.05, p=0.02), cell("site", 0.0, 0.9), cell("site", 0.0, 0.9)], False, "no number"),
        # a loss that nobody could see, however sure; one of few pictures, unsure; one of many, unsure
        ([cell("site", 0.05), cell("public", -0.004)], True, "worse nowhere"),
        ([cell("site", 0.05), cell("public", -0.02, p=0.4, patients=6)], True, "worse nowhere"),
        ([cell("site", 0.05), cell("public", -0.006, p=0.4)], False, "worse: public"),
        ([cell("site", 0.05), cell("public", 0.011, p=0.4, metric="vertical_cdr_error")], False, "worse: public"),
        ([cell("site", 0.05), cell("public", 0.009, p=0.4, metric="vertical_cdr_error")], True, "worse nowhere"),
        # pixels of a distance are of no margin, but must not be worse beyond chance
        ([cell("site", 0.05), cell("public", 0.5, p=0.4, metric="hd95")], True, "worse nowhere"),
        ([cell("site", 0.05), cell("public", 0.5, metric="hd95")], False, "worse: public"),
    ],
)
def test_what_is_promoted(cells, promoted, reason):
    found = decide(cells)
    assert found.promoted is promoted and reason in found.reason
    assert len(found.sentences) == len(cells)
    assert found.reason.count("site,") <= len(cells), "nothing is said twice"


def test_a_patient_has_one_part_and_the_shares_are_kept():
    parts = [part_of(f"patient {number}") for number in range(2000)]
    assert parts == [part_of(f"patient {number}") for number in range(2000)]
    assert parts.count("frozen") / 2000 == pytest.approx(FROZEN, abs=0.03)
    assert parts.count("val") / 2000 == pytest.approx(CHOSEN, abs=0.03)
