"""The files that a study ends in."""

import base64
import html
import json
import re
import xml.etree.ElementTree as ElementTree

import pandas as pd
import pytest

from fundusseg.studies.cross_table import MACRO
from fundusseg.studies.publication import make_tables, publish_study
from tests.support.study_rows import study_rows


@pytest.fixture
def rows():
    return study_rows()


ABOUT = {"folds": "5, run: 0", "left | out": "x_y"}
PROTOCOLS = {"automatic_roi": "automatic_roi: as in use & more."}


@pytest.mark.slow
def test_every_file_says_the_same(rows, tmp_path):
    found = publish_study(rows, ABOUT, PROTOCOLS, tmp_path)
    metrics = ("disc_dice", "cup_dice", "vertical_cdr_error")
    assert [table.name for table in found] == [f"automatic_roi-{metric}" for metric in metrics]
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        *("images.csv", "table.csv", "comparisons.csv", "table.json", "table.md", "table.tex", "report.html"),
        *(
            "heatmap-automatic_roi-disc_dice.svg",
            "heatmap-automatic_roi-cup_dice.svg",
            "heatmap-automatic_roi-vertical_cdr_error.svg",
        ),
        "bland-altman-automatic_roi.svg",
    }
    cell = found[0].cells[0]
    long = pd.read_csv(tmp_path / "table.csv")
    assert long["value"][0] == pytest.approx(cell.value) and len(long) == 3 * 3 + 2 * 3 * 2
    content = json.loads((tmp_path / "table.json").read_text())
    assert content["about"] == ABOUT and content["tables"][0]["cells"][0]["value"] == pytest.approx(cell.value)
    for name in ("table.md", "table.tex", "report.html"):
        text = (tmp_path / name).read_text()
        assert f"{cell.value:.3f}" in text and f"{cell.low:.3f}" in text, name
    assert len(pd.read_csv(tmp_path / "images.csv")) == len(rows)


@pytest.mark.slow
def test_markdown_tables_are_whole(rows, tmp_path):
    publish_study(rows, ABOUT, PROTOCOLS, tmp_path)
    text = (tmp_path / "table.md").read_text()
    lines = [re.sub(r"\\\|", "", line) for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {1 + 3 + 1, 1 + 2 + 1}, "trained on, sources, mean of sources"
    assert "| trained on | a\\_b \\<1\\> | c% | mean of sources |\n|---|---|---|---|\n" in text
    assert "\N{EN DASH} |" in text, "no cup network"


@pytest.mark.slow
def test_latex_is_escaped_and_closed(rows, tmp_path):
    publish_study(rows, ABOUT, PROTOCOLS, tmp_path)
    text = (tmp_path / "table.tex").read_text()
    for what in ("table", "tabular"):
        assert text.count(f"\\begin{{{what}}}") == text.count(f"\\end{{{what}}}") == 3
    assert "Pictures/patients & 10/10 & 10/10 & 20/20 \\\\" in text
    assert r"disc \& only" in text and r"a\_b $<$1$>$" in text and r"c\%" in text and "as in use \\& more" in text
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {2, 3}
    plain = re.sub(r"\\[{}]", "", text)
    assert plain.count("{") == plain.count("}")
    assert not [letter for letter in text if ord(letter) > 126]


@pytest.mark.slow
def test_the_page_asks_nobody(rows, tmp_path):
    publish_study(rows, ABOUT, PROTOCOLS, tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert "default-src 'none'" in html.unescape(text) and "<script" not in text and "disc &amp; only" in text
    sources = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert len(sources) == 4 and all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    for source in sources:
        ElementTree.fromstring(base64.b64decode(source.partition(",")[2]))


@pytest.mark.slow
def test_the_same_rows_give_the_same_bytes(rows, tmp_path):
    for name in ("one", "two"):
        publish_study(rows, ABOUT, PROTOCOLS, tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


@pytest.mark.slow
def test_what_is_missing_stands_before_the_tables_of_every_file(rows, tmp_path):
    publish_study(rows, ABOUT, PROTOCOLS, tmp_path, ["Incomplete: c^2 & d are not scored."])
    for name, said in (
        ("table.md", "**Incomplete: c^2 & d are not scored.**"),
        ("table.tex", r"\textbf{Incomplete: c\textasciicircum{}2 \& d are not scored.} Mean over"),
        ("report.html", "<strong>Incomplete: c^2 &amp; d are not scored.</strong>"),
        ("table.json", '"Incomplete: c^2 & d are not scored."'),
    ):
        assert said in (tmp_path / name).read_text(), name


def test_nothing_scored_is_no_table(tmp_path):
    assert publish_study(pd.DataFrame(), ABOUT, PROTOCOLS, tmp_path) == []
    assert (tmp_path / "report.html").is_file()


def test_sentences_name_the_best(rows):
    rows.loc[rows["training"] == "all", "disc_dice"] += 0.05
    said = make_tables(rows)[0].sentences()
    assert len(said) == 2 and all("best is all; worse beyond chance: a_b <1>, disc & only" in line for line in said)
    assert not any(line.startswith(MACRO) for line in said)
    few = make_tables(rows[rows["name"].isin(["0", "1", "2", "3", "4"])])[0].sentences()
    assert all("5 patients, too few for any difference among 3 pairs to be beyond chance" in line for line in few)
