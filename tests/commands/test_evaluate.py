"""The command: what it writes, what it refuses, and that it does so twice alike."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from fundusseg import evaluate
from fundusseg.data.splits import Split
from fundusseg.errors import CheckpointError, ConfigurationError, DatasetError
from fundusseg.imaging.image_files import read_mask, write_png
from tests.support.painted import CUP, DISC, checkpoint, data, folder, mask

NAMES = [f"p{number}" for number in range(8)]
LINES = [f"p{number},,{'OD' if number % 2 else 'OS'},{'glaucoma' if number % 3 else 'healthy'}," for number in range(8)]
FILES = {"table.md", "figures.csv", "figures.json", "images.csv", "reliability.csv", "model_card.md", "worst"}
FILES |= {f"{t}_dictionary.{k}" for t in ("figures", "images", "reliability") for k in ("csv", "json")}
SPLIT = Split(("folder/p0", "folder/p1"), ("folder/p2",), tuple(f"folder/{name}" for name in NAMES[3:]))


def shifted(names=NAMES, step: int = 1) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Found discs that lie the further aside, the higher their number."""
    return {name: (mask(DISC, step * n), mask(CUP, step * n)) for n, name in enumerate(names)}


@pytest.fixture
def root(tmp_path) -> Path:
    return folder(tmp_path / "painted", shifted(), LINES)


@pytest.fixture
def best(tmp_path, root) -> str:
    return checkpoint(tmp_path / "best.ckpt", SPLIT, data(root, csv="table.csv"))


def run(best: str, output: Path, *arguments: str) -> int:
    return evaluate.main(["--checkpoint", best, "--output", str(output), *arguments])


def config(tmp_path: Path, section: dict) -> list[str]:
    (tmp_path / "other.yaml").write_text(yaml.safe_dump({"data": section}))
    return ["--config", str(tmp_path / "other.yaml")]


def content(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_only_the_file_is_needed_and_every_output_names_its_protocol(best, tmp_path, capsys):
    assert run(best, tmp_path / "out") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    images = pd.read_csv(tmp_path / "out" / "images.csv")
    assert list(images.groupby("protocol").size().items()) == [("automatic_roi", 5), ("ground_truth_roi", 5)]
    assert set(images.name) == set(NAMES[3:]) and set(images.seen) == {"source"}
    estimates = pd.read_csv(tmp_path / "out" / "figures.csv").set_index(["protocol", "source", "region", "metric"])
    dice = estimates.loc[("automatic_roi", "folder", "disc", "dice")]
    assert dice.value == pytest.approx(images[images.protocol == "automatic_roi"].disc_dice.mean())
    assert (dice.n, dice.patients, dice.undefined) == (5, 5, 0) and dice.low < dice.value < dice.high
    distance = estimates.loc[("ground_truth_roi", "all", "disc", "centre_distance")].value
    assert distance == pytest.approx(np.mean(range(3, 8)))
    for name in ("table.md", "figures.json", "model_card.md"):
        text = (tmp_path / "out" / name).read_text()
        assert "automatic_roi: region of interest" in text and "ground_truth_roi: as in Civit-Masot" in text, name
    assert "protocol" in pd.read_csv(tmp_path / "out" / "reliability.csv")
    assert all(re.search("_(automatic|ground_truth)_roi_", p.name) for p in (tmp_path / "out" / "worst").iterdir())
    said = capsys.readouterr().out
    assert "automatic_roi: region of interest" in said and "folder: source seen in training (5 pictures)." in said
    table = (tmp_path / "out" / "table.md").read_text()
    assert "source seen in training" in table and "no picture is of a patient" in table
    known = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert known["model"].startswith("best.ckpt, sha256 ") and known["figures"][0]["metric"] == "dice"


@pytest.mark.slow
def test_twice_and_with_eight_workers_the_bytes_are_the_same(best, tmp_path):
    for name, workers in (("one", "1"), ("two", "1"), ("eight", "8")):
        assert run(best, tmp_path / name, "--workers", workers) == 0
    assert content(tmp_path / "one") == content(tmp_path / "two") == content(tmp_path / "eight")


def test_a_mask_of_another_size_is_listed_and_the_rest_done(best, root, tmp_path, capsys):
    write_png(root / "masks" / "p4.png", read_mask(root / "masks" / "p4.png")[:, 3:])
    assert run(best, tmp_path / "out") == 1
    images = pd.read_csv(tmp_path / "out" / "images.csv")
    failed = images[images.error.notna()]
    assert set(failed.name) == {"p4"} and failed.disc_dice.isna().all() and len(images) == 10
    assert "253 x 256" in failed.error.iloc[0] and "restore the mask" in failed.error.iloc[0]
    estimates = pd.read_csv(tmp_path / "out" / "figures.csv")
    assert set(estimates[estimates.metric == "dice"].n) == {4}
    said = capsys.readouterr().out
    assert "folder/p4 not scored" in said and "4 of 5 pictures scored" in said
    assert "253 x 256" in (tmp_path / "out" / "table.md").read_text()


def test_without_truth_measures_are_given_and_that_is_said(best, root, tmp_path, capsys):
    bare = config(tmp_path, data(root, "bare", masks=None))
    with pytest.raises(DatasetError, match="set masks to null"):
        nothing = folder(tmp_path / "empty", {"a": (mask(DISC), mask(CUP))})
        (nothing / "masks" / "a.png").unlink()
        run(best, tmp_path / "out", *config(tmp_path, data(nothing, "empty")))
    bare = config(tmp_path, data(root, "bare", masks=None))
    assert run(best, tmp_path / "out", *bare) == 0
    images = pd.read_csv(tmp_path / "out" / "images.csv")
    assert len(images) == 16 and images.vertical_cdr.between(0.4, 0.6).all()
    assert not any("dice" in column for column in images)
    assert "bare: 8 pictures without ground truth: measures only" in capsys.readouterr().out


@pytest.mark.slow
def test_seen_patients_are_refused_and_forced_with_a_mark(best, root, tmp_path, capsys):
    other = config(tmp_path, data(root))
    with pytest.raises(DatasetError, match=r"^got 3 of 8 pictures, such as folder/p0") as caught:
        run(best, tmp_path / "out", *other)
    assert "--allow_seen" in str(caught.value) and not (tmp_path / "out").exists()
    assert run(best, tmp_path / "out", *other, "--allow-seen") == 0
    table = (tmp_path / "out" / "table.md").read_text()
    assert "folder (patients seen in training)" in table and "folder: patients seen in training (3 pictures)" in table
    assert "no picture is of a patient" not in table
    estimates = pd.read_csv(tmp_path / "out" / "figures.csv")
    assert set(estimates[estimates.source == "folder"].seen) == {"patient"}
    assert "** patients seen in training" in capsys.readouterr().out


def test_a_split_says_who_is_scored(best, root, tmp_path):
    Split(SPLIT.test[1:], (), SPLIT.test[:1]).save(tmp_path / "split.json")
    assert run(best, tmp_path / "out", *config(tmp_path, data(root)), f"--data.split={tmp_path}/split.json") == 0
    assert set(pd.read_csv(tmp_path / "out" / "images.csv").name) == {"p3"}


@pytest.mark.slow
def test_a_checkpoint_without_split_is_refused(root, tmp_path):
    silent = checkpoint(tmp_path / "silent.ckpt", None, data(root))
    with pytest.raises(CheckpointError, match="whom it was trained on"):
        run(silent, tmp_path / "out")
    assert run(silent, tmp_path / "out", "--allow_seen") == 0
    assert "not known whether seen in training" in (tmp_path / "out" / "table.md").read_text()


@pytest.mark.slow
def test_against_another_says_plainly_what_is_beyond_chance(best, root, tmp_path, capsys):
    """The other finds the cup in the disc's place: its disc is as good, its cup worse."""
    section = data(root, csv="table.csv")
    other = checkpoint(tmp_path / "high.ckpt", SPLIT, section, thresholds=1.0)
    assert run(best, tmp_path / "out", "--against", other, "--protocols", "automatic_roi") == 0
    said = capsys.readouterr().out
    assert "automatic_roi, folder, Disc Dice: " in said and "beyond chance" in said and "after Holm" in said
    table = pd.read_csv(tmp_path / "out" / "differences.csv").set_index(["region", "metric"])
    assert table.loc[("disc", "dice")]["mean"] > 0 and table.loc[("disc", "hd95_dd")].undefined == 5
    assert set(pd.read_csv(tmp_path / "out" / "images.csv").method) == {"model", "other"}
    same = checkpoint(tmp_path / "same.ckpt", SPLIT, section)
    assert run(best, tmp_path / "same", "--against", same, "--protocols", "automatic_roi") == 0
    assert set(pd.read_csv(tmp_path / "same" / "differences.csv").verdict) == {"no difference"}


@pytest.mark.slow
def test_nothing_of_an_evaluation_before_is_left(best, root, tmp_path):
    out = tmp_path / "out"
    assert run(best, out, "--against", checkpoint(tmp_path / "same.ckpt", SPLIT, data(root))) == 0
    (out / "worst" / "my_own.jpg").write_bytes(b"mine")
    assert (out / "differences.csv").is_file()
    assert any("_ground_truth_roi_" in path.name for path in (out / "worst").iterdir())
    assert run(best, out, "--protocols", "automatic_roi") == 0
    left = {path.name for path in (out / "worst").iterdir()} - {"my_own.jpg"}
    assert len(left) == 5 and all("_automatic_roi_" in name for name in left)
    assert (out / "worst" / "my_own.jpg").is_file()
    assert not (out / "differences.csv").exists()


def test_results_that_cannot_be_written_are_said_before_the_work(best, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(evaluate, "_score", lambda *_: pytest.fail("it has begun"))
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigurationError, match=r"cannot be written to: .*--output"):
            run(best, place)


@pytest.mark.slow
def test_the_other_networks_patients_are_left_out_too(best, root, tmp_path):
    other = checkpoint(tmp_path / "other.ckpt", Split(("folder/p7",), (), ()), data(root))
    assert run(best, tmp_path / "out", "--against", other) == 0
    assert set(pd.read_csv(tmp_path / "out" / "images.csv").name) == set(NAMES[3:7])


def test_one_protocol_alone(best, tmp_path):
    assert run(best, tmp_path / "out", "--protocols", "seed") == 0  # the old name
    assert set(pd.read_csv(tmp_path / "out" / "figures.csv").protocol) == {"ground_truth_roi"}


@pytest.mark.slow
def test_glaucoma_where_the_diagnosis_is_known(best, tmp_path):
    assert run(best, tmp_path / "out") == 0
    estimates = pd.read_csv(tmp_path / "out" / "figures.csv").set_index(["protocol", "source", "metric"])
    assert estimates.loc[("automatic_roi", "folder", "vertical_cdr_auc")].value == pytest.approx(0.5)
    assert estimates.loc[("automatic_roi", "folder", "rim_min_ratio_auc")].n == 5
    assert (
        "areas under the curve from 3 pictures with glaucoma and 2 without" in (tmp_path / "out/table.md").read_text()
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--workers=0"], "0 workers"),
        (["--protocols", "fair"], "fair"),
        (["--localiser=cup.ckpt"], "a localiser of cup"),
    ],
)
def test_wrong_settings_are_one_sentence(best, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    checkpoint(tmp_path / "cup.ckpt", SPLIT, regions=("cup",))
    checkpoint(tmp_path / "other.ckpt", SPLIT, regions=("membrane",))
    with pytest.raises(ConfigurationError, match=words) as caught:
        run(best, tmp_path / "out", *arguments)
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()
