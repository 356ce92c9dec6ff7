import math

from rich.console import Console

from fundusseg.evaluation.estimates import ALL, MACRO, Estimate
from fundusseg.evaluation.tables import (
    leading_columns,
    markdown_summary,
    markdown_tables,
    table_rows,
    terminal_summary,
)
from fundusseg.reports.metric_names import BOTH


def estimate(source="a", region="disc", metric="dice", value=0.9512, low=0.94, high=0.9604, n=10, undefined=0, **more):
    known = {"protocol": "automatic_roi", "method": "model", "patients": 9, "seen": "no", **more}
    return Estimate(
        source=source, region=region, metric=metric, value=value, low=low, high=high, n=n, undefined=undefined, **known
    )


TABLE = [
    estimate(),
    estimate(metric="iou"),
    estimate(metric="hd95"),
    estimate(metric="hd95_dd", value=0.03, low=0.02, high=0.05, n=8, undefined=2),
    estimate(region=BOTH, metric="vertical_cdr_error", n=6),
    estimate(region=BOTH, metric="vertical_cdr_bias", value=-0.01, low=-0.02, high=0.01),
    estimate("[b]", seen="patient"),
    estimate(ALL, n=20, seen="patient"),
    estimate(MACRO, n=20, seen="patient"),
    estimate(protocol="ground_truth_roi", value=math.nan, low=math.nan, high=math.nan, n=0, undefined=10),
]


def shown(table) -> str:
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(table)
    return console.export_text()


def test_a_terminal_has_the_few_estimates_with_intervals():
    assert leading_columns(TABLE) == [("disc", "dice"), ("disc", "hd95_dd"), (BOTH, "vertical_cdr_error")]
    text = shown(terminal_summary(TABLE, "Evaluation of x"))
    for words in (
        "automatic_roi",
        "ground_truth_roi",
        "0.951",
        "0.940\N{EN DASH}0.960",
        "2 undefined",
        "n 6",
        "[b] **",
    ):
        assert words in text, words
    assert "** patients seen in training" in text and "* source" not in text
    assert "undefined (10)" in text and "Method" not in text and "IoU" not in text


def test_one_source_is_not_repeated_as_all_of_them():
    assert list(table_rows([estimate(), estimate(ALL), estimate(MACRO)])) == [("automatic_roi", "model", "a")]
    assert len(table_rows(TABLE)) == 5


def test_markdown_has_every_estimate_and_the_mark():
    text = markdown_tables(TABLE)
    assert "## automatic_roi: model" in text and "## ground_truth_roi: model" in text
    assert "| Disc IoU | 0.951 (0.940\N{EN DASH}0.960) |" in text
    assert "| vCDR bias | -0.010 (-0.020 to 0.010) |" in text
    assert "patients seen in training" in text and "patients seen in training" in markdown_summary(TABLE)
    assert "| Pictures (patients) | 10 (9) |" in text
    assert "0.030 (0.020\N{EN DASH}0.050), 2 undefined" in markdown_summary(TABLE)


def test_a_summary_has_the_columns_that_are_asked_for():
    text = markdown_summary(TABLE, [("disc", "iou")])
    assert text.startswith("| Protocol | Method | Source | Disc IoU | Pictures (patients) |")
    assert "| automatic_roi | model | \\[b\\] (patients seen in training) | \N{EN DASH} | 10 (9) |" in text
