"""Model cards: their content, and that no checkpoint is written without one."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer

from fundusseg import bundle, fit
from fundusseg.convert import write
from fundusseg.data.datamodule import FundusDataModule
from fundusseg.data.preparation import Preparation
from fundusseg.data.splits import Split
from fundusseg.datasets import Phantom
from fundusseg.measures.bootstrap import mean_interval
from fundusseg.models import UNet, checkpoint
from fundusseg.reports.model_card import card_path, model_card_text
from fundusseg.reports.tables import NOTES, markdown_table
from fundusseg.training.callbacks import PictureScores
from fundusseg.training.task import SegmentationTask
from tests.support.tiny import TINY

pytestmark = pytest.mark.slow

SPLIT = Split(
    train=("a/1", "a/2", "b/1"),
    val=("a/3",),
    test=("a/4", "a/5"),
    dropped=("b/2",),
    patients={"a/1": "a/p1", "a/2": "a/p1", "a/3": "a/p2", "a/4": "a/p3", "a/5": "a/p3", "b/1": "b/1", "b/2": "b/2"},
    pixels={key: key.replace("/", "") for key in ("a/1", "a/2", "a/3", "a/4", "a/5", "b/1", "b/2")},
)


def description(**changes) -> checkpoint.Description:
    made = checkpoint.describe(
        UNet(start_channels=4, depth=1),
        Preparation(image_size=64),
        thresholds={"disc": 0.45, "cup": 0.6},
        sources={"a": "CC BY 4.0", "b": "research | only"},
        configuration="data:\n  batch_size: 4\n",
        split=SPLIT,
        command="python -m fundusseg.fit --data.seed=1",
    )
    return replace(made, **changes)


def lines(text: str) -> list[list[str]]:
    """The cells of every line of a table."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def test_data_licences_counts_and_the_splits_hash():
    text = model_card_text("best.ckpt", {"segmenter": description()})
    assert text.startswith("# Model card: best.ckpt\n")
    assert ["a", "CC BY 4.0", "2 (1)", "1 (1)", "2 (1)"] in lines(text)
    assert ["b", r"research \| only", "1 (1)", "0 (0)", "0 (0)"] in lines(text)
    assert "Left out, shown in another source or subset too: 1 pictures." in text
    assert f"Split by patient. SHA-256 of the split: `{SPLIT.digest}`." in text
    by_image = model_card_text("x", {"segmenter": description(split=replace(SPLIT, by="image"))})
    assert "images of one patient may be on both sides" in by_image and SPLIT.digest not in by_image


def test_what_it_is_for_and_how_it_was_made():
    text = model_card_text("best.ckpt", {"segmenter": description()})
    assert "Not a medical device" in text and "Trained on a, b alone" in text
    assert "whole photographs need a localiser" in text
    assert ["Thresholds", "disc 0.45, cup 0.60"] in lines(text)
    assert ["Input", "2.4 disc diameters, 64 x 64 pixels"] in lines(text)
    assert "```sh\npython -m fundusseg.fit --data.seed=1\n```" in text
    assert f"fundusseg {checkpoint.__version__}" in text and f"torch {torch.__version__.split('+')[0]}" in text
    assert "```yaml\ndata:\n  batch_size: 4\n```" in text
    assert "None was measured with these weights." in text


def test_the_scores_table_stands_between_protocols_and_remarks():
    table = markdown_table(["Source", "Disc Dice"], [["a", "0.912"]])
    protocols = ["automatic_roi: as in use", "b: as `it` | was"]
    text = model_card_text("x", {"segmenter": description()}, table, protocols, ["One <more>."])
    assert ["a", "0.912"] in lines(text) and NOTES in text and "None was measured" not in text
    assert "- automatic_roi: as in use\n- b: as \\`it\\` \\| was\n\n| Source" in text
    assert text.index(NOTES) < text.index("One &lt;more>.")


def test_no_text_ends_its_fence_or_opens_a_tag():
    odd = description(
        command="python -m fundusseg.fit `x`\n```\n# Heading",
        configuration="a: |\n  ```\n  </details>\n",
        sources={"```": "<script>"},
        versions={"torch": "2 <b>"},
    )
    text = model_card_text("x", {"segmenter": odd})
    assert "````sh\npython -m fundusseg.fit `x`\n```\n# Heading\n````" in text
    assert "````yaml\na: |\n  ```\n  </details>\n````" in text
    assert "<script>" not in text and "<b>" not in text and "Trained on \\`\\`\\` alone" in text


def test_names_cannot_break_the_table():
    odd = replace(SPLIT, train=("<b>|x/1",), val=(), test=())
    text = model_card_text("a|b\n# c", {"segmenter": description(split=odd, sources={"<b>|x": "mine"})})
    assert ["&lt;b>\\|x", "mine", "1 (1)", "0 (0)", "0 (0)"] in lines(text)
    assert text.startswith("# Model card: a\\|b # c\n")


def test_what_is_not_known_is_said():
    text = model_card_text("x", {"network": description(split=None, sources={}, command="", configuration="")})
    assert "Whom it was trained on is not known" in text and "The command is not known." in text
    assert "Trained on data that are not known" in text and "yaml" not in text


def test_a_checkpoint_of_before_the_cards_loads():
    old = description().as_dict()
    del old["command"], old["versions"], old["split"]["by"]
    loaded = checkpoint.Description.from_dict(old)
    assert (loaded.command, loaded.versions, loaded.split) == ("", {}, SPLIT.anonymous())
    assert "The command is not known." in model_card_text("x", {"segmenter": loaded})


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Folder of a trained run."""
    place = tmp_path_factory.mktemp("card")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert fit.main([*TINY, f"--data.cache_dir={place}/cache"]) == 0
    return place / "runs" / "version_0"


def test_every_checkpoint_of_a_run_has_its_card(run):
    files = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert files == ["best.ckpt", "best.md", "last.ckpt", "last.md"]
    best, last = ((run / "checkpoints" / name).read_text() for name in ("best.md", "last.md"))
    split = Split.load(run / "split.json")
    assert split.digest in best and split.digest in last
    scores = json.loads((run / "test.json").read_text())
    disc = next(s for s in scores["scores"] if (s["source"], s["region"], s["metric"]) == ("phantom", "disc", "dice"))
    low, high = re.search(rf"{disc['value']:.3f} \(([\d.]+)\N{{EN DASH}}([\d.]+)\)", best).groups()
    assert float(low) < disc["value"] < float(high) and scores["protocol"] in best
    # So small a network may learn nothing in so few steps: then the card says that instead.
    assert "fundusseg.evaluate --checkpoint" in best or "the same for every test picture" in best
    assert "None was measured with these weights." in last


def test_the_cards_command_gives_the_same_scores(run, tmp_path, monkeypatch):
    text = (run / "checkpoints" / "best.md").read_text()
    command = shlex.split(re.search(r"```sh\n(.+)\n```", text)[1])
    assert command[:3] == ["python", "-m", "fundusseg.fit"]
    monkeypatch.chdir(tmp_path)
    assert fit.main(command[3:]) == 0
    assert (tmp_path / "runs/version_0/test.json").read_text() == (run / "test.json").read_text()


def test_a_bundle_has_its_card(run, tmp_path):
    one = str(run / "checkpoints" / "best.ckpt")
    output = tmp_path / "fundus.bundle"
    assert bundle.main(["--segmenters", one, one, "--output", str(output)]) == 0
    text = card_path(output).read_text()
    assert "# Model card: fundus.bundle" in text and "no interval" in text
    assert text.count(Split.load(run / "split.json").digest) == 2
    assert "## Data of the segmenter 1" in text and "## Data of the segmenter 2" in text
    assert "fundusseg.bundle --segmenters best.ckpt best.ckpt" in text and str(tmp_path) not in text


def test_converted_weights_have_theirs(tmp_path):
    write(UNet(start_channels=4, depth=1), Preparation(image_size=64), tmp_path / "a" / "keras.ckpt")
    assert "Whom it was trained on is not known" in (tmp_path / "a" / "keras.md").read_text()
    assert not [path for path in (tmp_path / "a").iterdir() if "partial" in path.name]


def test_the_intervals_are_those_of_the_pictures_own_scores(tmp_path):
    options = {"enable_progress_bar": False, "logger": False, "accelerator": "cpu", "enable_model_summary": False}
    datasets = [Phantom(count=40, size=96, name="a"), Phantom(count=20, size=96, name="b", seed=1)]
    data = FundusDataModule(datasets, image_size=32, batch_size=4, cache_dir=str(tmp_path), test_share=0.5)
    task = SegmentationTask(UNet(start_channels=4, depth=1), preparation=data.preparation, sources=data.sources)
    pictures = PictureScores()
    Trainer(callbacks=[pictures], **options).test(task, data, verbose=False)
    rows = {(r.source, r.region, r.metric): r for r in pictures.with_intervals(task.results["test"], data)}
    assert len(pictures.values) == len(data.split.test) == rows["all", "disc", "dice"].n and len(data.split.test) % 4
    for (source, region, metric), row in rows.items():
        column = pictures.columns.index((region, metric))
        own = {i: v[column] for i, v in pictures.values.items() if source in ("all", data.records[i].source)}
        assert row.value == pytest.approx(np.nanmean([*own.values()]), abs=1e-5)
        records = [data.records[i] for i in own]
        wanted = mean_interval([*own.values()], [r.patient for r in records], [r.source for r in records])
        assert (row.low, row.high) == wanted and row.low <= row.value <= row.high
