"""Recipes are changed where they are told, and nowhere else."""

import pytest

from fundusseg.errors import ConfigurationError
from fundusseg.studies.recipes import cut_to_sources, override, read_recipe, take_overrides

RECIPE = {
    "data": {
        "datasets": ["A", "B"],
        "regions": ["disc", "cup"],
        "source_weights": {"a": 2, "b": 1},
        "drop_duplicates_from": ["b"],
        "balance_ratios": True,
        "folds": 5,
        "image_size": 96,
    },
    "model": {"model": {"class_path": "x.Net", "init_args": {"width": 1, "weights": "hub"}}},
}


def test_changes_go_where_they_are_named():
    changed = override(
        RECIPE, {"data": {"image_size": 64}, "model.model.init_args.weights": None, "trainer": {"a.b": 1}}
    )
    assert changed["data"] == {**RECIPE["data"], "image_size": 64}
    assert changed["model"]["model"] == {"class_path": "x.Net", "init_args": {"width": 1, "weights": None}}
    assert changed["trainer"] == {"a": {"b": 1}}
    assert RECIPE["data"]["image_size"] == 96, "the recipe itself stays"


def test_another_class_does_not_inherit_arguments():
    other = {"class_path": "x.Other", "init_args": {"depth": 2}}
    assert override(RECIPE, {"model": {"model": other}})["model"]["model"] == other
    named = override({"model": {"model": "x.Net"}}, {"model.model.init_args.width": 2})
    assert named["model"]["model"] == {"class_path": "x.Net", "init_args": {"width": 2}}


def test_changes_on_a_command_line_are_yaml_and_all_kept():
    line = ["--x.a.b=48", "--y", "--x.a.c", "null", "--x.d=[disc]", "--x.e=/x/y=z.pth", "--x.f", "0.5", "--x.g={", "z"]
    rest, changes = take_overrides(line, "x")
    assert rest == ["--y", "z"]
    assert changes == {"a": {"b": 48, "c": None}, "d": ["disc"], "e": "/x/y=z.pth", "f": 0.5, "g": "{"}


def test_a_part_has_its_sources_regions_and_no_division_of_its_own():
    labelled = {"a": {"disc", "cup"}, "b": {"disc"}}
    both = cut_to_sources(RECIPE, {"a": "A", "b": "B"}, labelled)
    assert both["data"]["regions"] == ["disc", "cup"] and both["model"] == RECIPE["model"]
    assert not {"folds", "drop_duplicates_from"} & set(both["data"]) and both["data"]["balance_ratios"]
    alone = cut_to_sources(RECIPE, {"b": "B"}, labelled)
    assert alone["data"]["datasets"] == ["B"] and alone["data"]["source_weights"] == {"b": 1}
    assert "balance_ratios" not in alone["data"], "a disc alone has no ratio"
    apart = cut_to_sources(RECIPE, {"a": "A", "b": "B"}, {"a": {"cup"}, "b": {"disc"}})
    assert apart["data"]["regions"] == ["disc", "cup"] and "balance_ratios" not in apart["data"]
    assert alone["data"]["regions"] == ["disc"] and alone["model"]["model"]["init_args"]["out_channels"] == 1


@pytest.mark.parametrize("text", ["", "data: {}", "data: {datasets: []}", "data: [", "model: x"])
def test_what_is_no_recipe(text, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="recipe"):
        read_recipe(path)
    with pytest.raises(ConfigurationError, match=r"cannot be used: .*missing\.yaml"):
        read_recipe(tmp_path / "missing.yaml")
