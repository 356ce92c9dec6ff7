"""A challenger is promoted where it is better on the frozen set, and nowhere where it is worse beyond chance."""

import numpy as np
import pytest
from scipy import stats

from fundusseg.evaluation.model_comparison import ModelComparison
from fundusseg.learning.bundle_comparison import BundleComparison
from fundusseg.learning.corrections import CHOSEN, FROZEN, part_of
from fundusseg.learning.looks import CHANCE, FAMILY, fewest_frozen, level
from fundusseg.learning.promotion import decide
from fundusseg.measures.paired_tests import Difference, holm, paired


def cell(
    source: str, mean: float, p: float = 0.001, patients: int = 20, metric: str = "dice", table: int = 1
) -> ModelComparison:
    """A number whose own probability is p, and after Holm over the table so many times that."""
    sure = abs(mean) / 2
    difference = Difference(patients, 0, mean, mean - sure, mean + sure, p, patients, float(np.sign(mean)))
    return ModelComparison("automatic_roi", source, "cup", metric, 0.8 + mean, 0.8, difference, min(1, table * p))


@pytest.mark.parametrize(
    ("cells", "promoted", "reason"),
    [
        ([cell("site", 0.05)], True, "better beyond chance"),
        ([cell("site", 0.05), cell("public", 0.01, p=0.4)], True, "worse nowhere"),
        ([cell("site", 0.05), cell("public", -0.05)], False, "worse: public"),
        ([cell("site", 0.05, p=0.07), cell("public", 0.05)], False, "no number of the frozen set"),
        ([cell("site", -0.05)], False, "worse: site"),
        ([cell("site", 0.05, patients=6)], False, "fewer than 7"),
        ([], False, "fewer than 7"),
        # a table of many numbers takes nothing from the three that were stated beforehand
        ([cell("site", 0.05, p=0.01, table=30)], True, "better beyond chance"),
        ([cell("site", 0.05, p=0.03), cell("site", 0.0, 0.9), cell("site", 0.0, 0.9)], False, "no number"),
        # a promotion rests on gains alone, so that each test has one side
        ([cell("site", 0.05, p=0.05)], True, "better beyond chance"),
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
    found = decide(BundleComparison(cells), level([]))
    assert found.promoted is promoted and reason in found.reason
    assert len(found.sentences) == len(cells)
    assert found.reason.count("site,") <= len(cells), "nothing is said twice"


@pytest.mark.parametrize(
    ("since_first", "promoted"),
    [
        ([cell("public", -0.004)], True),
        ([cell("public", -0.006, p=0.4)], False),
        ([cell("site", -0.006, p=0.4)], False),
        ([cell("public", 0.011, p=0.4, metric="vertical_cdr_error")], False),
        ([cell("public", -0.02, p=0.4, patients=6)], True),
        ([cell("public", -0.02, patients=6)], False),
    ],
)
def test_losses_since_the_first_champion_count_too(since_first, promoted):
    found = decide(BundleComparison([cell("site", 0.05), cell("public", -0.002)], since_first), level([]))
    assert found.promoted is promoted and len(found.since_first) == len(since_first)
    assert promoted or found.reason.startswith("worse than the first champion")


def test_each_look_that_finds_nothing_asks_for_more():
    frozen = [cell("site", 0.05, p=0.005), cell("public", 0.05)]
    decided = [decide(BundleComparison(frozen), level([False] * looks)).promoted for looks in range(4)]
    assert decided == [True, True, True, False]
    assert decide(BundleComparison(frozen), level([False] * 9 + [True])).promoted


def test_the_fewest_patients_are_those_who_can_pass():
    for looks in range(40):
        sure = level([False] * looks)
        fewest = fewest_frozen(sure)
        assert FAMILY * stats.wilcoxon(np.ones(fewest) + np.arange(fewest), alternative="greater").pvalue < sure
        assert FAMILY * stats.wilcoxon(np.arange(1.0, fewest), alternative="greater").pvalue >= sure


def test_a_mean_that_few_patients_make_is_no_gain_of_the_ranks():
    changes = np.array([0.12] * 8 + [-0.003] * 52) + np.linspace(-1e-4, 1e-4, 60)
    found = paired(0.8 + changes, np.full(60, 0.8), [f"patient {number}" for number in range(60)])
    assert found.low > 0 > found.rank_biserial and found.p < 0.01
    comparison = ModelComparison("automatic_roi", "site", "cup", "dice", 0.8 + found.mean, 0.8, found, found.p)
    assert not decide(BundleComparison([comparison]), level([])).promoted


@pytest.mark.parametrize("gains", [0.0, 0.3], ids=["never", "sometimes"])
def test_few_promotions_are_chance_though_the_same_patients_come_again(gains):
    """Sites of 12 frozen patients and 4 more in each of 20 rounds; challengers differ at random, some are better."""
    chance, share, promotions = np.random.default_rng(0), [], 0
    for _ in range(60):
        champion, looks, wrong = np.zeros((FAMILY, 100)), list[bool](), 0
        for round in range(20):
            patients, better = 12 + 4 * round, chance.random() < gains
            challenger = better * 0.7 + chance.normal(size=champion.shape)
            difference = (challenger - champion)[:, :patients]
            found = stats.wilcoxon(difference, axis=1)
            gained = np.median(difference, axis=1) > 0
            improved = holm(np.where(gained, found.pvalue / 2, 1.0)) < level(looks)
            looks.append(bool(improved.any()))
            if looks[-1]:
                wrong += not better
                champion = challenger - better * 0.7  # the luck of its patients stays
        promotions += sum(looks)
        share.append(wrong / max(1, sum(looks)))
    assert np.mean(share) < CHANCE
    assert (promotions > 60) is (gains > 0), promotions


def test_a_patient_has_one_part_and_the_shares_are_kept():
    parts = [part_of(f"patient {number}") for number in range(2000)]
    assert parts == [part_of(f"patient {number}") for number in range(2000)]
    assert parts.count("frozen") / 2000 == pytest.approx(FROZEN, abs=0.03)
    assert parts.count("val") / 2000 == pytest.approx(CHOSEN, abs=0.03)
