"""What the recipes under configs/cluster say is what the commands take, and the plan is made of measured sizes."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from fundusseg import predict, study
from fundusseg.inference.run_journal import ROWS
from tests.support.painter import photograph, write_checkpoint

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "configs" / "cluster").iterdir())
PARSERS = {"predict": predict.parser, "study": study.parser}


@pytest.mark.parametrize("recipe", [path for path in RECIPES if path.suffix == ".sh"], ids=lambda path: path.name)
def test_a_script_is_bash(recipe):
    assert subprocess.run(["bash", "-n", str(recipe)], check=False).returncode == 0


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_a_recipe_gives_options_that_there_are(recipe):
    text = recipe.read_text().replace("\\\n", " ")
    if recipe.suffix == ".yml":
        text = yaml.safe_load(text)["spec"]["entrypoint"]
    (verb, rest) = re.search(r"-m fundusseg\.(\w+)([^\n]*)", text).groups()
    options = {word.partition("=")[0] for word in shlex.split(rest.rstrip('"')) if word.startswith("--")}
    assert options
    if verb in PARSERS:
        known = {option for action in PARSERS[verb]()._actions for option in action.option_strings}
        assert options <= known, verb
    else:
        assert verb == "fit" and options == {"--config", "--data.root", "--accelerator"}


@pytest.mark.slow
def test_a_plan_of_what_was_measured(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        Image.fromarray(photograph(120, 130)).save(tmp_path / "in" / f"{name}.png")
    checkpoint = write_checkpoint(tmp_path / "a.ckpt")
    output = tmp_path / "out"
    assert (
        predict.main(["--trust=tests", f"--checkpoint={checkpoint}", str(tmp_path / "in"), f"--output={output}"]) == 0
    )
    tool = [sys.executable, str(ROOT / "tools" / "plan_scale.py"), str(output), "--seconds", "cpu=3.6", "gpu=0.36"]
    said = subprocess.run(
        [*tool, "--photographs=1000000", "--hours=10"], capture_output=True, text=True, check=True
    ).stdout
    size = sum(path.stat().st_size for path in (tmp_path / "in").iterdir()) / 2 / 1e6
    assert f"Measured on 2: {size:.2f} MB in" in said and "in 4.0 files out" in said
    assert "cpu: 1,000 worker hours; 100 workers for 10 hours" in said and "gpu: 100 worker hours; 10 workers" in said
    assert "Files: 4,000,000; with --packed true 1,954" in said and (output / "journal" / ROWS).is_file()
    assert "28 photographs a second" in said
