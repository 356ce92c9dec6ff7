"""Killed at any moment and given again, every command comes to the files of a run that nothing disturbed.

FUNDUSSEG_KILLS is the number of kills, FUNDUSSEG_KILLS_SEED decides their moments. A full disk is a limit to the size
of a file (RLIMIT_FSIZE), as mounting a small one takes rights.
"""

import os
import random
import re
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from PIL import Image

from fundusseg.datasets import Phantom
from tests.commands.test_study import RECIPE, STUDY
from tests.miniatures.phantom_folder import write_folder
from tests.support.killed import LOG, Command, kill, killed, results, run_to_end, start, unlike
from tests.support.painter import write_checkpoint
from tests.support.tiny import TINY

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="kills by Linux's signals")]

KILLS = int(os.environ.get("FUNDUSSEG_KILLS", "5"))
DISKS = int(os.environ.get("FUNDUSSEG_DISKS", "1"))
SEED = int(os.environ.get("FUNDUSSEG_KILLS_SEED", "0"))

SHARES = {"prepare": 0.3, "predict": 0.25, "evaluate": 0.2, "fit": 0.175, "study": 0.075}
"""Share of each command in the kills: a study takes the longest."""

CACHE = "--data.cache_dir=cache"
DATA = "--data.datasets=[{class_path: fundusseg.datasets.Folder, init_args: {root: data}}]"
COMMANDS = {
    "prepare": Command("prepare", (DATA, "--data.image_size=64", CACHE, "--output=out")),
    "predict": Command(
        "predict", ("--checkpoint=a.ckpt", "--trust=tests", "{original}/in", "--output=out", "--charts=true"), (1,)
    ),
    "evaluate": Command("evaluate", ("--checkpoint=trained.ckpt", "--output=out")),
    "fit": Command("fit", (*TINY, "--trainer.max_epochs=3", CACHE)),
    "study": Command("study", ("--config=study.yaml", "--output=out", CACHE, "--accelerator=cpu")),
}


def command(verb: str, original: Path) -> Command:
    """One command; photographs stay where they are, as the journal knows them by their whole path."""
    known = COMMANDS[verb]
    return replace(known, arguments=tuple(one.replace("{original}", str(original)) for one in known.arguments))


NO_RESULT = ("*tfevents*", "*.log", "logs", "used.json", "fit/config.yaml")
"""Times, what a program says meanwhile, and the whole paths that a study's trainings are given."""


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """What the commands begin from."""
    place = tmp_path_factory.mktemp("original")
    write_folder(place / "data", 24)
    (place / "in").mkdir()
    for sample in Phantom(count=16, size=160):
        Image.fromarray(sample.image).save(place / "in" / f"{sample.record.name}.png")
    (place / "in" / "broken.png").write_bytes(b"no picture")
    write_checkpoint(place / "a.ckpt")
    (place / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    (place / "study.yaml").write_text(yaml.safe_dump({**STUDY, "trained_on": ["all"], "localiser": None}))
    run_to_end(COMMANDS["fit"], place)
    shutil.copy(place / "runs/version_0/checkpoints/best.ckpt", place / "trained.ckpt")
    shutil.rmtree(place / "runs")
    shutil.rmtree(place / "cache")
    return place


@pytest.fixture(scope="module")
def undisturbed(original, tmp_path_factory):
    """Files and seconds of a run of each command that nothing disturbed."""
    known = {}

    def of(verb: str) -> tuple[dict[str, str], float]:
        if verb not in known:
            place = tmp_path_factory.mktemp("undisturbed") / "place"
            shutil.copytree(original, place)
            seconds = run_to_end(command(verb, original), place)
            known[verb] = final(place), seconds
        return known[verb]

    return of


def final(place: Path) -> dict[str, str]:
    """Results; of a training's runs, each of which has a folder of its own, the last one's."""
    runs = sorted((place / "runs").glob("version_*"), key=lambda run: int(run.name.rpartition("_")[2]))
    for run in runs[:-1]:
        assert not [path for path in run.rglob("*") if re.search(r"partial|\.tmp|lock", path.name)]
        shutil.rmtree(run)
    if runs and runs[-1].name != "version_0":
        for text in (path for path in runs[-1].rglob("*") if path.suffix in (".md", ".json", ".yaml")):
            text.write_text(text.read_text().replace(runs[-1].name, "version_0"))
        runs[-1].rename(place / "runs" / "version_0")
    return results(place, *NO_RESULT)


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_killed_command_comes_to_the_same_files(verb, original, undisturbed, tmp_path):
    left, run, moments = round(KILLS * SHARES[verb]), 0, []
    if not left:
        pytest.skip(f"{KILLS} kills leave none for {verb}: set FUNDUSSEG_KILLS")
    wanted, seconds = undisturbed(verb)
    chance = random.Random(f"{verb} {SEED}")
    while len(moments) < left:
        place = tmp_path / f"{run}" / "place"
        shutil.copytree(original, place)
        moments += killed(
            command(verb, original), place, min(chance.randint(1, 4), left - len(moments)), seconds, chance
        )
        assert unlike(wanted, final(place)) == [], f"killed after {moments} s"
        shutil.rmtree(place)
        run += 1
        print(f"{verb}: {len(moments)} kills", flush=True)
    print(f"{verb}: {len(moments)} kills in {run} runs of {seconds:.1f} s")


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_full_disk_is_said_and_leaves_nothing(verb, original, undisturbed, tmp_path):
    wanted, seconds = undisturbed(verb)
    chance = random.Random(f"{verb} disk {SEED}")
    for run in range(DISKS):
        place = tmp_path / f"{run}" / "place"
        shutil.copytree(original, place)
        size = round(2 ** chance.uniform(4, 18))
        process = start(command(verb, original), place, size)
        process.join(10 * seconds + 60)
        time.sleep(0.5)  # until what it said is written
        said, code = (place / LOG).read_text(), process.exitcode
        assert not kill(process, True), "it hangs"
        assert "Traceback" not in said and "--debug shows where" not in said, f"{size} bytes: {said[-1500:]}"
        assert code == 2 or code in COMMANDS[verb].codes or (code == 1 and verb in ("study", "predict")), (code, said)
        run_to_end(command(verb, original), place)
        assert unlike(wanted, final(place)) == [], f"{size} bytes"
        shutil.rmtree(place)
