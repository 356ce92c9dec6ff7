"""The files that a study ends in."""

import base64
import html
import json
import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest

from fundusseg.studies.cross_table import MACRO
from fundusseg.studies.plots import bland_altman, heatmap, svg
from fundusseg.studies.publication import make_tables, publish_study


@pytest.fixture
def rows():
    generator = np.random.default_rng(0)
    found = []
    for training in ("all", "a_b <1>", "disc & only"):
        for source in ("a_b <1>", "c%"):
            for number in range(10):
                cup = training != "disc & only" and source != "c%"
                dice, true = 0.9 + 0.01 * generator.normal(), 0.5 + 0.02 * number
                found.append(
                    {
                        "training": training,
                        "trained": training in ("all", source),
                        "fold": 0,
                        "seed": 1,
                        "protocol": "automatic_roi",
                        "method": "model",
                        "source": source,
                        "name": str(number),
                        "patient": str(number),
                        "labelled": "disc cup" if cup else "disc",
                        "disc_dice": dice,
                        "cup_dice": dice - 0.05 if cup else math.nan,
                        "vertical_cdr": true + 0.03 if cup else math.nan,
                        "vertical_cdr_true": true if cup else math.nan,
                        "vertical_cdr_error": 0.03 if cup else math.nan,
                    }
                )
    return pd.DataFrame(found)


ABOUT = {"folds": "5, run: 0", "left | out": "x_y"}
PROTOCOLS = {"automatic_roi": "automatic_roi: as in use & more."}


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


def test_markdown_tables_are_whole(rows, tmp_path):
    publish_study(rows, ABOUT, PROTOCOLS, tmp_path)
    text = (tmp_path / "table.md").read_text()
    lines = [re.sub(r"\\\|", "", line) for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {1 + 3 + 1, 1 + 2 + 1}, "trained on, sources, mean of sources"
    assert "| trained on | a\\_b \\<1\\> | c% | mean of sources |\n|---|---|---|---|\n" in text
    assert "\N{EN DASH} |" in text, "no cup network"


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


def test_the_page_asks_nobody(rows, tmp_path):
    publish_study(rows, ABOUT, PROTOCOLS, tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert "default-src 'none'" in html.unescape(text) and "<script" not in text and "disc &amp; only" in text
    sources = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert len(sources) == 4 and all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    for source in sources:
        ElementTree.fromstring(base64.b64decode(source.partition(",")[2]))


def test_the_same_rows_give_the_same_bytes(rows, tmp_path):
    for name in ("one", "two"):
        publish_study(rows, ABOUT, PROTOCOLS, tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


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


def test_a_heat_map_shows_every_mean(rows):
    table = make_tables(rows)[1]
    texts = [text.get_text() for text in heatmap(table.cells, table.metric).axes[0].texts]
    assert len(texts) == len(table.cells) and texts[-1] == "\N{EN DASH}"
    assert texts[0].startswith(f"{table.cells[0].value:.3f}") and texts[0].endswith("\N{BULLET}")


def test_bland_altman_lines_are_bias_and_limits(rows):
    rows["vertical_cdr"] += np.tile([0.01, -0.01], len(rows) // 2)
    figure = bland_altman(rows)
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title().splitlines()[0] for axes in panels] == ["all", "a_b <1>"], "those with a cup"
    assert all(axes.xaxis.get_tick_params()["labelbottom"] for axes in panels), "nothing below"
    lines = [line.get_ydata()[0] for line in panels[0].get_lines()]
    spread = 1.96 * 0.01 * math.sqrt(10 / 9)
    assert lines == pytest.approx([0, 0.03, 0.03 - spread, 0.03 + spread])
    assert sum(len(points.get_offsets()) for points in panels[0].collections) == 10
    assert bland_altman(rows[rows["training"] == "disc & only"]) is None
    assert svg(figure).startswith(b"<?xml")


def test_sentences_name_the_best(rows):
    rows.loc[rows["training"] == "all", "disc_dice"] += 0.05
    said = make_tables(rows)[0].sentences()
    assert len(said) == 2 and all("best is all; worse beyond chance: a_b <1>, disc & only" in line for line in said)
    assert not any(line.startswith(MACRO) for line in said)
    few = make_tables(rows[rows["name"].isin(["0", "1", "2", "3", "4"])])[0].sentences()
    assert all("5 patients, too few for any difference among 3 pairs to be beyond chance" in line for line in few)
