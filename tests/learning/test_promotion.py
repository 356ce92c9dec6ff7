"""A challenger is promoted where it is better on the frozen set, and nowhere where it is worse beyond chance."""

import pytest

from fundusseg.evaluation.model_comparison import ModelComparison
from fundusseg.learning.corrections import CHOSEN, FROZEN, part_of
from fundusseg.learning.promotion import decide
from fundusseg.measures.paired_tests import Difference


def cell(source: str, mean: float, p: float = 0.001, patients: int = 20) -> ModelComparison:
    sure = abs(mean) / 2
    difference = Difference(patients, 0, mean, mean - sure, mean + sure, p, patients)
    return ModelComparison("automatic_roi", source, "cup", "dice", 0.8 + mean, 0.8, difference, p)


@pytest.mark.parametrize(
    ("cells", "promoted", "reason"),
    [
        ([cell("site", 0.05)], True, "better beyond chance"),
        ([cell("site", 0.05), cell("public", 0.01, p=0.4)], True, "worse nowhere"),
        ([cell("site", 0.05), cell("public", -0.05)], False, "worse beyond chance: public"),
        ([cell("site", 0.05, p=0.06), cell("public", 0.05)], False, "no number of the frozen set"),
        ([cell("site", -0.05)], False, "worse beyond chance: site"),
        ([cell("site", 0.05, patients=5)], False, "fewer than 6"),
        ([], False, "fewer than 6"),
    ],
)
def test_what_is_promoted(cells, promoted, reason):
    found = decide(cells)
    assert found.promoted is promoted and reason in found.reason
    assert len(found.sentences) == len(cells)


def test_a_patient_has_one_part_and_the_shares_are_kept():
    parts = [part_of(f"patient {number}") for number in range(2000)]
    assert parts == [part_of(f"patient {number}") for number in range(2000)]
    assert parts.count("frozen") / 2000 == pytest.approx(FROZEN, abs=0.03)
    assert parts.count("val") / 2000 == pytest.approx(CHOSEN, abs=0.03)
