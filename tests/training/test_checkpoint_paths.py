"""A shared checkpoint shares no folder; a run that was moved finds its best one again."""

import json
from pathlib import Path

import pytest

from fundusseg.training.checkpoint_paths import find_folders, leave_names

KEY = "ModelCheckpoint{'monitor': 'val/dice'}"


def states(folder: str) -> dict:
    best = f"{folder}best.ckpt"
    return {
        KEY: {
            "dirpath": folder,
            "best_model_path": best,
            "kth_best_model_path": best,
            "last_model_path": "",
            "best_k_models": {best: 0.9},
            "best_model_score": 0.9,
        },
        "EarlyStopping": {"wait_count": 3},
    }


@pytest.mark.parametrize("folder", ["/home/anna/secret/run/", "C:\\Users\\anna\\run\\"])
def test_only_names_are_left_and_other_callbacks_are_let_be(folder):
    found = states(folder)
    leave_names(found)
    assert "anna" not in json.dumps(found)
    assert found[KEY]["best_model_path"] == "best.ckpt" and found[KEY]["best_k_models"] == {"best.ckpt": 0.9}
    assert found["EarlyStopping"] == {"wait_count": 3}


@pytest.mark.parametrize("below", [".", "checkpoints"])
def test_the_best_one_is_found_beside_the_last_wherever_both_were_moved(tmp_path, below):
    (tmp_path / below).mkdir(exist_ok=True)
    (tmp_path / below / "best.ckpt").touch()
    found = states("/home/anna/run/")
    leave_names(found)
    find_folders(found, tmp_path / "last.ckpt", {})
    assert Path(found[KEY]["best_model_path"]) == tmp_path / below / "best.ckpt"
    assert {Path(path): score for path, score in found[KEY]["best_k_models"].items()} == {
        tmp_path / below / "best.ckpt": 0.9
    }
    assert found[KEY]["last_model_path"] == "", "what was not there is not made up"


def test_a_last_one_moved_alone_knows_no_best_one(tmp_path):
    found = states("/home/anna/run/")
    leave_names(found)
    find_folders(found, tmp_path / "last.ckpt", {})
    assert found[KEY]["best_model_path"] == "" and found[KEY]["best_k_models"] == {}


def test_the_runs_own_folder_is_named_to_the_letter(tmp_path, monkeypatch):
    """As Lightning compares it, or the scores that were reached are forgotten."""
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    (tmp_path / "run" / "best.ckpt").touch()
    found = states("/elsewhere/")
    leave_names(found)
    find_folders(found, tmp_path / "run" / "last.ckpt", {KEY: "run"})
    assert found[KEY]["dirpath"] == "run" and found[KEY]["best_model_path"] == str(Path("run") / "best.ckpt")
