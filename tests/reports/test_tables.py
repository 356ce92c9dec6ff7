import math

import pytest
from rich.console import Console

from fundusseg.reports.metric_names import METRIC_NAMES, ON_CARD, metric_heading
from fundusseg.reports.tables import (
    Markdown,
    Score,
    cell_text,
    code_block,
    code_span,
    interval_text,
    markdown_table,
    markdown_text,
    source_table,
    terminal_table,
    value_text,
)

DASH = "\N{EN DASH}"


def score(source="a", region="disc", metric="dice", value=0.96789, n=10, undefined=0, **more):
    return Score(source=source, region=region, metric=metric, value=value, n=n, undefined=undefined, **more)


SCORES = [
    score("drishti_gs", n=51),
    score("drishti_gs", metric="iou", value=0.91, n=51),
    score("drishti_gs", "cup", value=0.88, n=49, undefined=2),
    score("drishti_gs", "disc+cup", "vertical_cdr_error", 0.0512, 50),
    score("drions_db", value=0.95, n=5, low=0.9, high=0.97),
    score("[b]odd[/b]", "cup", value=math.nan, n=0, undefined=3),
    score("[b]odd[/b]", value=-0.5, n=2, low=-0.7, high=0.1),
    score("[b]odd[/b]", metric="iou", value=math.nan, n=0),
]


def test_the_parts_of_a_cell():
    assert value_text(None) == value_text(score(value=math.nan, n=0)) == DASH
    assert value_text(score()) == "0.968" and value_text(score(value=math.nan, n=0, undefined=3)) == "undefined (3)"
    assert interval_text(score()) == "" and interval_text(score(low=0.9, high=0.98)) == f"0.900{DASH}0.980"
    assert interval_text(score(low=-0.1, high=0.2)) == "-0.100 to 0.200"


def test_a_cell_says_what_must_be_known_beside_it():
    known = score(low=0.9, high=0.98, n=8, undefined=2)
    assert cell_text(known, 10) == f"0.968 (0.900{DASH}0.980), 2 undefined"
    assert cell_text(known, 12) == f"0.968 (0.900{DASH}0.980), n 10, 2 undefined"
    assert cell_text(known, 12, stacked=True) == f"0.968\n0.900{DASH}0.980\nn 10, 2 undefined"
    assert cell_text(score(), 10) == cell_text(score(), 10, stacked=True) == "0.968"
    assert cell_text(score(value=math.nan, n=0, undefined=3), 10) == "undefined (3)"


def test_a_source_has_one_row():
    headings, rows = source_table(SCORES)
    assert headings == ["Source", "Disc Dice", "Disc IoU", "Cup Dice", "vCDR absolute error", "Pictures"]
    assert rows == [
        ["drishti_gs", "0.968", "0.910", "0.880, 2 undefined", "0.051, n 50", "51"],
        ["drions_db", f"0.950 (0.900{DASH}0.970)", DASH, DASH, DASH, "5"],
        ["[b]odd[/b]", "-0.500 (-0.700 to 0.100), n 2", DASH, "undefined (3)", DASH, "3"],
    ]
    assert source_table([score("all"), score("macro")])[1][0][0] == "all pictures"
    assert source_table([]) == (["Source", "Pictures"], [])


def test_a_terminal_prints_names_as_they_are():
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(terminal_table(*source_table(SCORES), "Scores", "held-out test split"))
    text = console.export_text()
    for part in ("Scores", "held-out test split", "[b]odd[/b]", "undefined (3)"):
        assert part in text


def test_any_metric_and_the_known_ones_have_a_heading():
    assert metric_heading("sclera", "radii of it") == "Sclera radii of it"
    assert metric_heading("disc+cup", "vertical_cdr_auc") == "Glaucoma AUC"
    assert set(ON_CARD) <= set(METRIC_NAMES)
    assert len(set(METRIC_NAMES.values())) == len(METRIC_NAMES), "one heading for one number"


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ("a|b", r"a\|b"),
        ("a\nb\r\nc", "a b c"),
        ("<script>&amp;", "&lt;script>&amp;amp;"),
        ("```sh", r"\`\`\`sh"),
        ("[x](http://y)", r"\[x\](http://y)"),
        ("a\\|b", r"a\\\|b"),
        ("drishti_gs", "drishti_gs"),
    ],
)
def test_names_are_words_in_markdown(words, written):
    assert markdown_text(words) == written
    assert markdown_table(["h"], [[words]]).splitlines() == ["| h |", "| --- |", f"| {written} |"]


def test_markdown_stays_markdown_and_in_its_cell():
    assert markdown_table([""], [[Markdown("[a](b|c)")]]).endswith(r"| [a](b\|c) |")


def test_no_text_ends_its_fence():
    assert code_span("a") == "`a`" and code_span("a`b``c\nd") == "``` a`b``c d ```"
    assert code_block("x", "sh") == "```sh\nx\n```"
    assert code_block("x\n````\ny", "yaml").splitlines() == ["`````yaml", "x", "````", "y", "`````"]
