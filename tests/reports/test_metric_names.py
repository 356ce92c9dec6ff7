"""One dictionary of metrics: every key that is written has a heading, and no heading stands for two keys."""

from fundusseg.evaluation.estimates import MEANS
from fundusseg.measures.ratio_agreement import ratio_agreement
from fundusseg.reports.metric_names import (
    LOWER_IS_BETTER,
    METRIC_NAMES,
    OLD_PROTOCOL_NAMES,
    ON_CARD,
    VCDR_ERROR,
    metric_heading,
)


def test_every_key_has_a_heading_of_its_own():
    agreement = {"error" if name == "mae" else name for name in ratio_agreement([0.4, 0.5, 0.6], [0.5, 0.5, 0.7])}
    keys = {*MEANS, *ON_CARD, *LOWER_IS_BETTER, *(f"vertical_cdr_{name}" for name in agreement)}
    assert keys <= set(METRIC_NAMES)
    assert len(set(METRIC_NAMES.values())) == len(METRIC_NAMES)


def test_what_nobody_named_is_shown_by_its_key():
    assert metric_heading("disc", "my_metric") == "Disc my_metric"
    assert metric_heading("disc+cup", VCDR_ERROR) == "vCDR absolute error"


def test_old_names_of_protocols_are_none_of_todays():
    assert not set(OLD_PROTOCOL_NAMES) & set(OLD_PROTOCOL_NAMES.values())
