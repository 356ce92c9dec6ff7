"""Evaluations' tables gathered, and what is missing told."""

import pandas as pd
import pytest

from fundusseg.reports.files import write_csv
from fundusseg.reports.metric_names import VCDR_ERROR
from fundusseg.studies.collect import collect_rows, missing_scores
from fundusseg.studies.trainings import Training

NETWORKS = [Training("all", ("2024", "b"), 0, 1), Training("b", ("b",), 0, 1)]


def row(source="b", name="1", **more):
    numbers = {"disc_dice": 0.9, "vertical_cdr": 0.4, "vertical_cdr_true": 0.6}
    texts = {"protocol": "automatic_roi", "method": "model", "labelled": "disc cup", "error": ""}
    return {**texts, "source": source, "name": name, "patient": name, **numbers, **more}


def write(runs, network, *rows):
    write_csv(rows, runs / network.key / "evaluation" / "images.csv")


def test_names_stay_as_they_are(tmp_path):
    write(
        tmp_path,
        NETWORKS[0],
        row("2024", "NA"),
        row("2024", "007"),
        row("b", "null"),
        row("b", "=x"),
        row(method="expert1"),
    )
    found = collect_rows(tmp_path, NETWORKS)
    places = list(zip(found["source"], found["name"], found["patient"], strict=True))
    assert places == [("2024", "NA", "NA"), ("2024", "007", "007"), ("b", "null", "null"), ("b", "=x", "=x")]
    assert found["trained"].all() and set(found["training"]) == {"all"}
    assert found[VCDR_ERROR].tolist() == pytest.approx([0.2] * 4)


def test_old_protocol_names_are_read(tmp_path):
    write(tmp_path, NETWORKS[0], row(protocol="clean"), row(protocol="seed"), row(protocol="automatic_roi"))
    assert collect_rows(tmp_path, NETWORKS)["protocol"].tolist() == [
        "automatic_roi",
        "ground_truth_roi",
        "automatic_roi",
    ]


def test_what_is_missing_is_told(tmp_path):
    assert missing_scores(collect_rows(tmp_path, NETWORKS), NETWORKS)[0].startswith("Incomplete: 2 of 2 networks")
    broken = row(name="x", labelled="", error="cut short", **dict.fromkeys(("disc_dice", "vertical_cdr")))
    write(tmp_path, NETWORKS[0], row(), broken, {**broken, "protocol": "seed"})
    absent, unscored = missing_scores(collect_rows(tmp_path, NETWORKS), NETWORKS)
    assert absent.startswith("Incomplete: 1 of 2 networks are not scored (b-fold0-seed1)")
    assert unscored == "b/x is in no figure of 1 networks, as it was not scored: cut short"
    for network in NETWORKS:
        write(tmp_path, network, row())
    assert missing_scores(collect_rows(tmp_path, NETWORKS), NETWORKS) == []
    assert missing_scores(pd.DataFrame(), []) == []
