import math

from rich.console import Console

from fundusseg.evaluation.estimates import ALL, BOTH, MACRO, Figure
from fundusseg.evaluation.tables import brief, columns, full, grid, heading, lines, terminal


def figure(source="a", region="disc", metric="dice", value=0.9512, low=0.94, high=0.9604, n=10, undefined=0, **more):
    known = {"protocol": "clean", "method": "model", "patients": 9, "seen": "no", **more}
    return Figure(
        source=source, region=region, metric=metric, value=value, low=low, high=high, n=n, undefined=undefined, **known
    )


TABLE = [
    figure(),
    figure(metric="iou"),
    figure(metric="hd95"),
    figure(metric="hd95_dd", value=0.03, low=0.02, high=0.05, n=8, undefined=2),
    figure(region=BOTH, metric="vertical_cdr_mae", n=6),
    figure(region=BOTH, metric="vertical_cdr_bias", value=-0.01, low=-0.02, high=0.01),
    figure("[b]", seen="patient"),
    figure(ALL, n=20, seen="patient"),
    figure(MACRO, n=20, seen="patient"),
    figure(protocol="seed", value=math.nan, low=math.nan, high=math.nan, n=0, undefined=10),
]


def shown(table) -> str:
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(table)
    return console.export_text()


def test_a_terminal_has_the_few_figures_with_intervals():
    assert columns(TABLE) == [("disc", "dice"), ("disc", "hd95_dd"), (BOTH, "vertical_cdr_mae")]
    text = shown(terminal(TABLE, "Evaluation of x"))
    for words in ("clean", "seed", "0.951", "0.940\N{EN DASH}0.960", "2 undefined", "n 6", "[b] **"):
        assert words in text, words
    assert "** patients seen in training" in text and "* source" not in text
    assert "undefined (10)" in text and "Method" not in text and "IoU" not in text


def test_one_source_is_not_repeated_as_all_of_them():
    assert list(lines([figure(), figure(ALL), figure(MACRO)])) == [("clean", "model", "a")]
    assert len(lines(TABLE)) == 5


def test_markdown_has_every_figure_and_the_mark():
    text = full(TABLE)
    assert "## clean: model" in text and "## seed: model" in text and "| Disc IoU | 0.951 (0.940 to 0.960) |" in text
    assert "| vCDR bias | -0.010 (-0.020 to 0.010) |" in text
    assert "patients seen in training" in text and "patients seen in training" in brief(TABLE)
    assert "| pictures (patients) | 10 (9) |" in text
    assert "0.030 (0.020 to 0.050) 2 undefined" in brief(TABLE)


def test_names_do_not_break_a_table():
    assert grid(["a|b"], [["c\nd"]]) == "| a\\|b |\n| --- |\n| c d |"
    assert heading("membrane", "hd95") == "Membrane HD95 (px)" and heading(BOTH, "vertical_cdr_auc") == "Glaucoma AUC"
