"""Every column of an evaluation's tables is explained in the dictionary beside it."""

import json

import pandas as pd
import pytest

from fundusseg.datasets import Folder
from fundusseg.evaluation.dictionaries import table_columns, write_dictionaries
from fundusseg.evaluation.protocols import PROTOCOLS
from fundusseg.evaluation.result_files import write_result
from fundusseg.evaluation.results import EvaluationResult
from fundusseg.evaluation.scoring import MODEL, OTHER, Case, Evaluation
from fundusseg.evaluation.worst_cases import WorstCases
from fundusseg.inference.predictor import Predictor
from fundusseg.reports.data_dictionary import dictionary_names
from tests.support.painted import CUP, DISC, checkpoint, folder, mask


@pytest.mark.slow
def test_the_tables_of_an_evaluation_have_dictionaries(tmp_path):
    predictor = Predictor.from_checkpoint(checkpoint(tmp_path / "a.ckpt"))
    painted = folder(tmp_path / "painted", {name: (mask(DISC), mask(CUP)) for name in ("a", "b", "c")})
    dataset, methods = Folder(painted), {MODEL: predictor, OTHER: predictor}
    cases = [Case(dataset, record) for record in dataset.records]
    scored = [*Evaluation(methods, [*PROTOCOLS.values()])(cases)]
    found = EvaluationResult(scored, methods, [*PROTOCOLS.values()], {MODEL: "a.ckpt, SHA-256 0"})
    write_result(found, tmp_path / "out", WorstCases(0))
    for table in ("images.csv", "figures.csv", "reliability.csv", "differences.csv"):
        names = [*pd.read_csv(tmp_path / "out" / table).columns]
        content = json.loads((tmp_path / "out" / dictionary_names(table)[1]).read_text())
        assert [column["name"] for column in content["columns"]] == names
        assert all(column["meaning"] for column in content["columns"]), table
        assert content["about"]["model"] == "a.ckpt, SHA-256 0" and "fundusseg" in content["about"]


def test_metrics_are_named_as_the_tables_name_them():
    names = ["cup_hd95_dd", "disc_assd", "vertical_cdr", "vertical_cdr_true", "rim_bias_6", "radii_ratio"]
    columns = {column.name: column for column in table_columns("images.csv", names)}
    assert columns["cup_hd95_dd"].meaning == "HD95 (dd) of the cup" and columns["cup_hd95_dd"].unit == "disc diameters"
    assert columns["disc_assd"].unit == "pixels" and "Cup height over disc height" in columns["vertical_cdr"].meaning
    assert "ground truth" in columns["vertical_cdr_true"].meaning and "6 o'clock" in columns["rim_bias_6"].meaning


def test_the_dictionary_of_a_table_that_is_gone_goes_too(tmp_path):
    for name in dictionary_names("differences.csv"):
        (tmp_path / name).touch()
    write_dictionaries(tmp_path, {})
    assert not [*tmp_path.iterdir()]
