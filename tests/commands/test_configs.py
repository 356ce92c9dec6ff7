"""Every recipe trains, is evaluated and predicts, on miniature data in the layouts that it names."""

from pathlib import Path

import pandas as pd
import pytest

from fundusseg import evaluate, fit, predict, study
from fundusseg.models import checkpoint
from tests.miniatures import (
    drions_db,
    drishti_gs,
    folder,
    idrid,
    isbi_membrane,
    optic_disc_seg,
    rim_one_dl,
    rim_one_r3,
    sclera,
)

ROOT = Path(__file__).parents[2]
STUDIES = sorted((ROOT / "configs" / "studies").glob("*.yaml"))
ALL = sorted((ROOT / "configs").rglob("*.yaml"))
CONFIGS = [path for path in ALL if path not in STUDIES]

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
    "segmenter.yaml": ["--model.model.init_args.encoder_weights=null", "--trainer.max_epochs=3"],
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
    folder.build_discs(root / "ORIGA-discs", first_seed=400)
    rim_one_dl.build(root / "RIM-ONE-DL", rim_one_dl.OF_R3, first_seed=600)
    idrid.build(root / "IDRiD", first_seed=700)
    return root


def test_there_are_recipes():
    assert {path.name for path in CONFIGS} >= set(OWN)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
@pytest.mark.slow
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


@pytest.mark.parametrize("config", STUDIES, ids=lambda path: path.stem)
@pytest.mark.slow
def test_study_lays_out_recipes_that_train(config, data, tmp_path):
    """One of each kind is trained here; tests/test_study.py runs a study to its end."""
    for table in data.glob("*-crops/table.csv"):
        table.unlink()  # three patients in place of two
    small = [
        *("--overrides.data.image_size=64", "--overrides.data.batch_size=2", "--overrides.data.samples_per_epoch=6"),
        *("--overrides.trainer.max_epochs=3", "--overrides.model.model.init_args.encoder_weights=null"),
        *("--localiser.overrides.data.image_size=64", "--localiser.overrides.data.samples_per_epoch=16"),
        "--localiser.overrides.trainer.max_epochs=1",
    ]
    given = study.parse([f"--config={config}", f"--data.root={data}", f"--output={tmp_path}", *small])
    plan = study.plan_of(given)
    queue = plan.lay_out(tmp_path, str(data), tmp_path / "cache")
    assert set(queue.states().values()) == {"todo"}
    alone = next(training for training in plan.networks if training.sources == ("drions_db",))
    for training in (plan.localisers[0], plan.networks[0], alone):
        arguments = [f"--config={tmp_path}/recipes/{training.key}.yaml", f"--data.root={data}"]
        arguments += [f"--data.split={tmp_path}/splits/{training.key}.json", f"--data.cache_dir={tmp_path}/cache"]
        arguments += [f"--trainer.logger.init_args.save_dir={tmp_path}/runs/{training.key}", "--accelerator=cpu"]
        assert fit.main([*arguments, "--trainer.precision=32-true"]) == 0
        description, _ = checkpoint.load(tmp_path / "runs" / training.key / "fit/checkpoints/best.ckpt")
        assert description.preparation.regions == (("disc", "cup") if training is plan.networks[0] else ("disc",))
        assert set(description.sources) == set(training.sources)


@pytest.mark.parametrize("config", ALL, ids=lambda path: path.stem)
def test_recipe_opens_with_what_it_is(config):
    header = [line for line in config.read_text().splitlines() if line.startswith("#")]
    for word in ("Command", "Hardware", "Time", "Scores"):
        assert any(line.startswith(f"# {word}") for line in header), word
