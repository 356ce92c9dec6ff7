"""Every recipe trains, is evaluated and predicts, on miniature data in the layouts that it names."""

from pathlib import Path

import pandas as pd
import pytest

from fundusseg import evaluate, fit, predict
from tests.data import drions_db, drishti_gs, folder, isbi_membrane, optic_disc_seg, rim_one_r3, sclera

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))

SMALL = [
    "--data.image_size=64",
    "--data.batch_size=2",
    "--data.num_workers=0",
    "--data.samples_per_epoch=6",
    "--trainer.max_epochs=1",
    "--trainer.precision=32-true",
    "--trainer.enable_progress_bar=false",
    "--accelerator=cpu",
]
OWN = {
    "merged.yaml": ["--model.model.init_args.encoder_weights=null"],
    "merged_mobilenetv2.yaml": ["--model.model.init_args.encoder_weights=null", "--trainer.max_epochs=3"],
    "original_unet.yaml": ["--data.image_size=252", "--model.model.init_args.start_channels=4"],
    "isbi_membrane.yaml": ["--model.model.init_args.start_channels=4"],
    "tpu.yaml": ["--data.variants.init_args.copies=1", "--model.model.init_args.start_channels=8"],
    "tpu_unet_cup.yaml": ["--data.variants.init_args.copies=1", "--model.model.init_args.start_channels=8"],
    "tpu_unet_disc.yaml": ["--data.variants.init_args.copies=1", "--model.model.init_args.start_channels=8"],
}
"""What a recipe needs beside: the hub is out of reach in the tests, and its full width too slow for them."""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """All datasets in miniature, in one folder."""
    root = tmp_path_factory.mktemp("data")
    drishti_gs.build(root, count=6)
    drions_db.build(root, count=5, first_seed=100)
    rim_one_r3.build(root / "RIM-ONE r3")
    isbi_membrane.build(root / "ISBI-membrane")
    optic_disc_seg.build(root / "optic_disc_seg")
    sclera.build(root / "sclera-MASD", [(f"{person:04}", 1) for person in range(1, 6)])
    folder.build(root / "REFUGE-crops", code="255/128/0", first_seed=200)
    folder.build(root / "ORIGA-crops", code="0/1/2", first_seed=300)
    return root


def test_there_are_recipes():
    assert {path.name for path in CONFIGS} >= set(OWN)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_recipe_runs(config, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    common = [f"--config={config}", f"--data.root={data}", f"--data.cache_dir={tmp_path}"]
    assert fit.main([*common, *SMALL, *OWN.get(config.name, [])]) == 0
    best = "runs/version_0/checkpoints/best.ckpt"
    assert evaluate.main(["--checkpoint", best, "--output=scores"]) == 0
    assert not pd.read_csv("scores/figures.csv").empty
    pictures = data / "ORIGA-crops" / "images"
    assert predict.main(["--checkpoint", best, str(pictures), "--output=out"]) == 0
    assert len(pd.read_csv("out/measures.csv")) == len(list(pictures.iterdir()))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_recipe_opens_with_what_it_is(config):
    header = [line for line in config.read_text().splitlines() if line.startswith("#")]
    for word in ("Command", "Hardware", "Time", "Scores"):
        assert any(line.startswith(f"# {word}") for line in header), word
