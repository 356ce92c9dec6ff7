"""What went wrong in public bug reports is read rightly, or refused alike by prepare and by fit."""

import importlib.util
import json
import os
import sys
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fundusseg import fit, prepare
from fundusseg.datasets import Phantom
from fundusseg.errors import DatasetError
from fundusseg.imaging.image_files import write_png
from fundusseg.sample import CUP, DISC
from tests.data.test_plausibility import outline

TOOL = Path(__file__).parents[2] / "tools" / "try_faults.py"
FAULTS = Path(os.environ.get("FUNDUSSEG_FAULTS", Path(__file__).parents[3] / "shared" / "faults"))


@pytest.mark.slow
@pytest.mark.realdata
def test_every_fault_of_the_collection_comes_out_as_expected():
    if not FAULTS.is_dir():
        pytest.skip("no collection of faults beside the project (set FUNDUSSEG_FAULTS to its folder)")
    spec = importlib.util.spec_from_file_location("try_faults", TOOL)
    sys.modules["try_faults"] = tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    outcomes = list(tool.try_all(FAULTS))
    assert {path.name for path in FAULTS.iterdir() if path.is_dir()} - {"_storage"} == set(tool.TRIALS)
    assert len(outcomes) > 25 and [one for one in outcomes if not one.as_expected] == []


def swap(disc, cup):
    return cup, disc


IMPLAUSIBLE = {
    "rim as disc": lambda disc, cup: (disc & ~cup, cup),
    "outline as disc": lambda disc, cup: (outline(disc), outline(cup)),
    "disc turned round": lambda disc, cup: (~disc, cup),
    "cup turned round": lambda disc, cup: (disc, ~cup),
    "disc and cup swapped": swap,
    "cup outside its disc": lambda disc, cup: (disc, cup[::-1, ::-1].copy()),
}


def tree(root: Path, change=lambda disc, cup: (disc, cup)) -> list[str]:
    """Phantoms as a user's own folder of a mask for each region; the options that read it."""
    for sample in Phantom(count=6, size=128):
        name = f"{sample.record.name}.png"
        areas = change(*(sample.of(region)[0].mask for region in (DISC, CUP)))
        for place, pixels in zip(("images", "masks/disc", "masks/cup"), (sample.image, *areas), strict=True):
            (root / place).mkdir(parents=True, exist_ok=True)
            write_png(root / place / name, pixels if place == "images" else pixels * np.uint8(255))
    data = [{"class_path": "fundusseg.datasets.Folder", "init_args": {"root": str(root)}}]
    return [f"--data.datasets={json.dumps(data)}", "--data.image_size=32", f"--data.cache_dir={root / 'cache'}"]


def train(options: list[str]) -> int:
    small = ["--model.model=fundusseg.models.UNet", "--model.model.start_channels=4", "--model.model.depth=2"]
    trainer = ["--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
    return fit.main([*options, *small, *trainer, "--data.batch_size=2"])


@pytest.mark.parametrize("kind", IMPLAUSIBLE)
def test_implausible_masks_are_refused_by_both_verbs(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    options = tree(tmp_path / "mine", IMPLAUSIBLE[kind])
    assert prepare.main([*options, f"--output={tmp_path / 'out'}"]) == 1
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert len(report["problems"]) == 6 and report["datasets"][0]["implausible masks"] == "6"
    assert all(kind in problem and f"0000{n}.png" in problem for n, problem in enumerate(report["problems"]))
    with pytest.raises(DatasetError, match=rf"6 of 6 pictures of folder that cannot be used: {kind}.*00000\.png"):
        train(options)
    assert not list((tmp_path / "mine" / "cache").glob("folder-*"))


@pytest.mark.slow
def test_doubtful_masks_are_a_line_of_both_verbs_and_of_the_card(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def speck(disc, cup):
        disc[1, 1] = True
        return disc, cup

    options = tree(tmp_path / "mine", speck)
    assert prepare.main([*options, f"--output={tmp_path / 'out'}"]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert len(report["doubts"]["folder"]) == 6 and report["problems"] == []
    assert "folder: disc with specks: " in capsys.readouterr().out
    assert train(options) == 0
    line = "folder: labels of 6 of 6 pictures are doubtful: 6 disc with specks"
    assert line in capsys.readouterr().out
    for card in (tmp_path / "runs" / "version_0" / "checkpoints").glob("*.md"):
        assert line in card.read_text()


@pytest.mark.parametrize("kind", ["a palette that begins with white", "both turned by EXIF", "GIF", "OD and OC"])
def test_unusual_masks_are_read_for_what_they_are(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    options = tree(tmp_path / "mine")
    for path in sorted((tmp_path / "mine").rglob("*.png")):
        picture = Image.open(path)
        if kind == "both turned by EXIF":
            turned, exif = picture.rotate(180), Image.Exif()
            exif[0x0112] = 3
            turned.save(path, exif=exif)
        elif path.parent.name != "images" and kind == "GIF":
            picture.save(path.with_suffix(".gif"))
            path.unlink()
        elif path.parent.name != "images" and kind.startswith("a palette"):
            indices = Image.fromarray(np.where(np.asarray(picture) == 0, 1, 0).astype(np.uint8), mode="P")
            indices.putpalette([255, 255, 255, 0, 0, 0])
            indices.save(path)
    if kind == "OD and OC":
        for region, name in (("disc", "OD"), ("cup", "OC")):
            (tmp_path / "mine" / "masks" / region).rename(tmp_path / "mine" / "masks" / name)
    assert prepare.main([*options, f"--output={tmp_path / 'out'}"]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["problems"] == [] and report["doubts"] == {"folder": []}
    assert report["datasets"][0]["regions"] == "disc 6, cup 6"


@pytest.mark.slow
def test_an_eye_without_a_cup_is_trained_on_and_measured(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    has_cup = cycle([True, True, False])
    options = tree(tmp_path / "mine", lambda disc, cup: (disc, cup & next(has_cup)))
    with pytest.raises(DatasetError, match=r"2 of 6 .* no cup pixel marked.*empty_cup"):
        train(options)
    options[0] = options[0].replace('"root"', '"empty_cup": true, "root"')
    assert prepare.main([*options, f"--output={tmp_path / 'out'}"]) == 0
    assert train(options) == 0
