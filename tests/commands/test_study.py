"""A study of made photographs, stopped and continued, to its tables."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from fundusseg import study
from fundusseg.data.splits import Split
from fundusseg.errors import ConfigurationError
from fundusseg.studies.job_runner import available
from fundusseg.studies.trainings import trainings
from fundusseg.training.preemption import EXIT_CODE

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PHANTOM = "fundusseg.datasets.Phantom"
RECIPE = {
    "data": {
        "datasets": [
            {"class_path": PHANTOM, "init_args": {"count": 9, "size": 96, "name": "one"}},
            {
                "class_path": PHANTOM,
                "init_args": {"count": 9, "size": 96, "seed": 1, "name": "discs", "regions": ["disc"]},
            },
        ],
        "image_size": 64,
        "batch_size": 4,
        "samples_per_epoch": 8,
        "source_weights": {"one": 2},
    },
    "model": {"model": {"class_path": "fundusseg.models.UNet", "init_args": {"start_channels": 4, "depth": 2}}},
    "trainer": {"max_epochs": 5},
}
STUDY = {
    "recipe": "recipe.yaml",
    "folds": 3,
    "only_folds": [1],
    "trained_on": ["each"],
    "overrides": {"trainer.max_epochs": 1},
    "localiser": {
        "recipe": "recipe.yaml",
        "sources": ["one"],
        "overrides": {
            "data": {"regions": ["disc"], "roi": "field_of_view"},
            "model.model.init_args.out_channels": 1,
            "trainer": {"max_epochs": 1},
        },
    },
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The study's files and, beside them, its command line; the jobs find the package from here."""
    monkeypatch.chdir(ROOT)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    return tmp_path


def command(folder, *more):
    given = [f"--config={folder}/study.yaml", f"--output={folder}/out", f"--data.cache_dir={folder}/cache"]
    return [*given, "--accelerator=cpu", f"--workers={min(2, len(available()))}", *more]


def laid_out(folder, *more):
    """Output folder and plan of a study that nobody works at."""
    given = study.parse(command(folder, *more))
    plan = study.plan_of(given)
    plan.lay_out(folder / "out", ".", folder / "cache")
    return folder / "out", plan


def done(folder):
    return sorted(path.name for path in (folder / "out" / "done").iterdir())


def test_stopped_and_continued_to_its_tables(folder, capsys):
    def tell():
        while not (folder / "out" / "done").is_dir():
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGTERM)

    teller = threading.Thread(target=tell)
    teller.start()
    assert study.main(command(folder)) == EXIT_CODE
    teller.join()
    assert "the same command continues" in capsys.readouterr().out
    stopped = done(folder)
    assert 1 <= len(stopped) < 5
    assert study.main(command(folder)) == 0
    said = capsys.readouterr().out
    assert f"5 jobs, {len(stopped)} done already" in said and "Disc Dice, protocol automatic_roi" in said
    assert len(done(folder)) == 5 and set(stopped) < set(done(folder))

    table = pd.read_csv(folder / "out" / "results" / "table.csv")
    disc = table[(table["region"] == "disc") & (table["metric"] == "dice") & (table["protocol"] == "automatic_roi")]
    assert list(zip(disc["training"], disc["source"], strict=True)) == [
        (training, source) for training in ("one", "discs") for source in ("one", "discs", "mean of sources")
    ]
    assert (disc["n"] == [3, 3, 6] * 2).all() and disc["trained"].tolist() == [True, False, False, False, True, False]
    cup = table[(table["region"] == "cup") & (table["metric"] == "dice") & (table["protocol"] == "automatic_roi")]
    assert set(cup["source"]) == {"one", "mean of sources"}
    assert cup.groupby("training", sort=False)["n"].max().to_dict() == {"one": 3, "discs": 0}
    rows = pd.read_csv(folder / "out" / "results" / "images.csv", dtype={"name": str})
    split = Split.load(folder / "out" / "splits" / "fold1.json")
    assert set(rows["source"] + "/" + rows["name"]) == set(split.test), "nobody else is tested"
    assert (folder / "out" / "results" / "report.html").is_file()
    jobs = {job["name"]: job["command"] for job in json.loads((folder / "out" / "jobs.json").read_text())}
    assert "--localiser" in jobs["0004-evaluate-discs-fold1-seed1"]

    before = {path: path.read_bytes() for path in (folder / "out" / "results").iterdir()}
    assert study.main(command(folder)) == 0, "done: only gathered again"
    assert {path: path.read_bytes() for path in (folder / "out" / "results").iterdir()} == before


def test_nobody_who_is_tested_is_in_any_training(folder):
    out, plan = laid_out(folder, "--trained_on=[each,all]", "--only_folds=null", "--seeds=[1,2]")
    tested = []
    for fold in range(3):
        whole = Split.load(out / "splits" / f"fold{fold}.json")
        tested += whole.test
        of_fold = [t for t in (*plan.networks, *plan.localisers) if t.fold == fold]
        assert len(of_fold) == 3 * 2 + 1
        for training in of_fold:
            part = Split.load(out / "splits" / f"{training.key}.json")
            assert not {*part.train, *part.val} & set(whole.test)
            assert {key.partition("/")[0] for key in part.train} == set(training.sources)
            assert set(part.train) <= set(whole.train) and set(part.test) <= set(whole.test)
    assert sorted(tested) == sorted(f"{source}/{number:05}" for source in ("one", "discs") for number in range(9))
    assert plan.localisers[0].sources == ("one",)


def test_recipes_are_cut_to_their_sources(folder):
    out, plan = laid_out(
        folder,
        "--trained_on=[each,all]",
        "--seeds=[3]",
        "--overrides.data.image_size=48",
        "--overrides.data.batch_size=2",
    )
    recipes = {t.name: yaml.safe_load((out / "recipes" / f"{t.key}.yaml").read_text()) for t in plan.networks}
    assert recipes["all"]["data"]["regions"] == recipes["one"]["data"]["regions"] == ["disc", "cup"]
    assert recipes["discs"]["data"]["regions"] == ["disc"]
    assert recipes["discs"]["model"]["model"]["init_args"]["out_channels"] == 1
    assert recipes["discs"]["data"]["source_weights"] == {} and recipes["one"]["data"]["source_weights"] == {"one": 2}
    for recipe in recipes.values():
        assert recipe["trainer"]["max_epochs"] == 1 and recipe["seed_everything"] == recipe["data"]["seed"] == 3
        assert recipe["data"]["image_size"] == 48 and recipe["data"]["batch_size"] == 2
    assert [t.name for t in plan.networks] == [t.name for t in trainings(["one", "discs"], ["each", "all"], [1], [3])]


@pytest.mark.slow
def test_a_folder_belongs_to_one_study(folder):
    out, _ = laid_out(folder)
    before = json.loads((out / "study.json").read_text())
    for more in (["--overrides.trainer.max_epochs=2"], ["--seeds=[2]"], ["--localiser.overrides.data.roi=picture"]):
        with pytest.raises(ConfigurationError, match="study with another"):
            laid_out(folder, *more)
    assert json.loads((out / "study.json").read_text()) == before


def test_a_cluster_has_no_local_workers(folder):
    pytest.importorskip("ray", reason="the extra `cluster` is not installed")
    with pytest.raises(ConfigurationError, match="--workers 2 with --cluster; expected one of the two"):
        study.main(command(folder, "--workers=2", "--cluster=local"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--sources=[onee]"], "source 'onee' in sources; expected one such as 'one'"),
        (["--localiser.sources=[none]"], "source 'none' in localiser.sources"),
        (["--only_folds=[3]"], r"only_folds \[3\]"),
        (["--folds=1"], "folds"),
        (["--seeds=[1,1]"], r"seeds \[1, 1\]; expected .* each once"),
        (["--trained_on=[]"], "trained_on"),
        (["--trained_on=[some]"], "trained_on"),
        (["--recipe=missing.yaml"], "recipe that cannot be used"),
        (["--workers=0"], "0 workers"),
        (["--unknown=1"], "unknown"),
        (["--sources=[]"], r"sources \[\]"),
        (["--overrides.data.split=split.json"], r"data.split is 'split.json'.*--overrides.data.split=null"),
        (["--overrides.data.split_by=image"], r"data.split_by is 'image'.*--overrides.data.split_by=patient"),
        (["--overrides.data.image_size"], "--overrides.data.image_size without a value"),
        (["--localiser=null", "--localiser.overrides.data.roi=picture"], "study without one"),
        (["--folds=9", "--overrides.data.val_share=0"], "no val picture of"),
    ],
)
def test_mistakes_are_said_at_once(folder, more, message):
    with pytest.raises(ConfigurationError, match=message):
        study.main(command(folder, *more))
    assert not (folder / "out" / "jobs.json").exists()
