"""A study's settings, and what its folder is laid out with; the command itself is `tests/commands/test_study`."""

import json

import pytest
import yaml

from fundusseg.data.splits import Split
from fundusseg.errors import ConfigurationError
from fundusseg.studies.plan import LocaliserSettings, Plan, Settings

SOURCES = ["one", "two"]


def recipe(**data) -> dict:
    readers = [
        {"class_path": "fundusseg.datasets.Phantom", "init_args": {"count": 9, "size": 64, "seed": seed, "name": name}}
        for seed, name in enumerate(SOURCES)
    ]
    network = {"class_path": "fundusseg.models.UNet", "init_args": {"start_channels": 4, "depth": 2}}
    return {"data": {"datasets": readers, "image_size": 32, **data}, "model": {"model": network}}


@pytest.fixture
def place(tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe()))
    return tmp_path


def plan(place, **settings) -> Plan:
    return Plan.from_settings(Settings("recipe.yaml", **{"folds": 3, **settings}), ".", place)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"folds": 1}, "folds \\[1\\]; expected 2 or more"),
        ({"only_folds": [3]}, "only_folds \\[3\\]; expected some of 0 to folds - 1"),
        ({"only_folds": []}, "only_folds"),
        ({"seeds": [-1]}, "seeds \\[-1\\]; expected numbers from 0 up"),
        ({"seeds": [1, 1]}, "each once"),
        ({"trained_on": []}, "trained_on"),
        ({"sources": ["one", "one"]}, "sources"),
        ({"sources": ["onn"]}, "source 'onn' in sources; expected one such as 'one'"),
        ({"localiser": LocaliserSettings("recipe.yaml", ["tow"])}, "source 'tow' in localiser.sources"),
        ({"localiser": LocaliserSettings("missing.yaml")}, "missing.yaml"),
        ({"overrides": {"data.split_by": "image"}}, "data.split_by is 'image'.*--overrides.data.split_by=patient"),
        ({"overrides": {"data.split": "split.json"}}, "data.split is 'split.json'.*--overrides.data.split=null"),
    ],
)
def test_what_is_out_of_range_is_refused_before_anything_is_written(place, settings, said):
    with pytest.raises(ConfigurationError, match=said):
        plan(place, **settings)
    assert [path.name for path in place.iterdir()] == ["recipe.yaml"]


def test_sources_keep_the_recipes_order_and_localisers_are_one_a_fold(place):
    found = plan(place, sources=["two", "one"], localiser=LocaliserSettings("recipe.yaml", ["two"]), seeds=[5, 6])
    assert found.sources == ("one", "two") and found.localised == ("two",)
    assert [(one.fold, one.seed, one.sources) for one in found.localisers] == [(fold, 5, ("two",)) for fold in range(3)]
    alone = plan(place, sources=["two"])
    assert [reader["init_args"]["name"] for reader in alone.recipe["data"]["datasets"]] == ["two"]
    assert alone.localiser is None and alone.localisers == ()


def test_a_recipe_is_looked_for_where_the_command_runs_first(place, tmp_path_factory, monkeypatch):
    here = tmp_path_factory.mktemp("here")
    (here / "recipe.yaml").write_text(yaml.safe_dump(recipe(image_size=48)))
    assert plan(place).recipe["data"]["image_size"] == 32
    monkeypatch.chdir(here)
    assert plan(place).recipe["data"]["image_size"] == 48


@pytest.mark.slow
def test_every_training_has_its_recipe_and_its_part_of_the_folds_split(place):
    found = plan(place, trained_on=["each"], only_folds=[1], seeds=[7], overrides={"trainer.max_epochs": 2})
    out = place / "out"
    jobs = found.lay_out(out, ".", place / "cache")
    assert [*jobs.states()] == [job["name"] for job in json.loads((out / "jobs.json").read_text())]
    assert len(jobs.left()) == 4
    whole = Split.load(out / "splits" / "fold1.json")
    for training in found.networks:
        own = yaml.safe_load((out / "recipes" / f"{training.key}.yaml").read_text())
        assert (own["seed_everything"], own["data"]["seed"], own["trainer"]["max_epochs"]) == (7, 7, 2)
        assert own["checkpoint"] == {"enable_version_counter": False}, "begun anew, in the same place"
        part = Split.load(out / "splits" / f"{training.key}.json")
        mine = {key for key in whole.listed if key.split("/")[0] in training.sources}
        by_key = (part.patients, part.files, part.pixels, part.perceptual_hashes)
        assert all(set(known) == mine for known in (part.listed, *by_key)), "nothing of the other source"


@pytest.mark.slow
def test_a_folder_belongs_to_one_study(place):
    out = place / "out"
    plan(place, only_folds=[0]).lay_out(out, ".", place / "cache")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    plan(place, only_folds=[0]).lay_out(out, ".", place / "cache")
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    with pytest.raises(ConfigurationError, match="another trainings"):
        plan(place, only_folds=[1]).lay_out(out, ".", place / "cache")
    (out / "study.json").write_text("torn {")
    with pytest.raises(ConfigurationError, match="another"):
        plan(place, only_folds=[0]).lay_out(out, ".", place / "cache")


def test_a_plan_in_plain_types_survives_json(place):
    told = plan(place, localiser=LocaliserSettings("recipe.yaml")).as_dict()
    assert json.loads(json.dumps(told)) == told and len(told["trainings"]) == len(set(told["trainings"]))


def test_a_training_without_test_patients_is_refused_at_once(place):
    with pytest.raises(ConfigurationError, match="no val picture of"):
        plan(place, overrides={"data.datasets": recipe()["data"]["datasets"][:1], "data.val_share": 0.0}).lay_out(
            place / "out", ".", place / "cache"
        )
