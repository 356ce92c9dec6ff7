"""The numpy side, the stores and the commands where the system has none of POSIX's own calls, as on Windows."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.test_cli import TINY
from tests.support import painted

ROOT = Path(__file__).parents[2]

IMPORTS = """
import tests.support.elsewhere
import fundusseg, pkgutil
from importlib import import_module
for room in ("imaging", "measures", "datasets", "data", "models", "reports", "inference", "evaluation", "studies"):
    for module in pkgutil.iter_modules([*import_module(f"fundusseg.{room}").__path__], f"fundusseg.{room}."):
        import_module(module.name)
"""

NUMPY_SIDE = """
import tests.support.elsewhere
from pathlib import Path
from fundusseg.data.preparation import Preparation
from fundusseg.data.store import PreparedStore
from fundusseg.datasets import Phantom
from fundusseg.imaging.image_files import read_photograph, write_png
from fundusseg.measures.cup_disc import measure
sample = Phantom(count=3, size=96)[0]
write_png(Path("one.png"), sample.image)
assert (read_photograph(Path("one.png")) == sample.image).all()
masks = {region: sample.of(region)[0].mask for region in ("disc", "cup")}
assert 0 < measure(masks["disc"].astype("uint8") + (masks["disc"] & masks["cup"])).vertical_cdr < 1
assert len(PreparedStore.build(Phantom(count=3, size=96), Preparation(image_size=32), Path("cache"))) == 3
from fundusseg.data.cache_folder import default_folder
from fundusseg.studies.job_runner import available
assert default_folder().is_dir() and available()
"""

NO_NAME = """
import os, pwd, sys
for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME"):
    os.environ.pop(name, None)
def unknown(number): raise KeyError(number)
pwd.getpwuid = unknown
"""
"""As in a container that runs under a number which its system does not know."""

VERB = "import tests.support.elsewhere, sys; from fundusseg import {0}; from fundusseg.cli import run; run({0}.main)"


def run(folder: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.mark.slow
@pytest.mark.parametrize("code", [IMPORTS, NUMPY_SIDE], ids=["every module", "the numpy side"])
def test_without_posix_calls(code, tmp_path):
    run(tmp_path, code)


@pytest.mark.slow
def test_predict_without_posix_calls(tmp_path):
    painted.folder(tmp_path / "in", {"a": (painted.mask(painted.DISC), painted.mask(painted.CUP))})
    best = painted.checkpoint(tmp_path / "best.ckpt")
    run(
        tmp_path,
        VERB.format("predict"),
        "in/images",
        "--checkpoint",
        best,
        "--output",
        "out",
        "--workers=2",
        "--trust",
        "tests",
    )
    assert (tmp_path / "out" / "measures.csv").is_file() and (tmp_path / "out" / "report.html").is_file()


@pytest.mark.slow
def test_fit_without_posix_calls(tmp_path):
    run(tmp_path, VERB.format("fit"), *TINY)
    assert (tmp_path / "runs/version_0/checkpoints/best.ckpt").is_file()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="users of POSIX")
def test_fit_without_a_home_or_a_name(tmp_path):
    code = NO_NAME + VERB.removeprefix("import tests.support.elsewhere, sys; ").format("fit")
    run(tmp_path, code, *TINY)
    assert (tmp_path / "runs/version_0/checkpoints/best.ckpt").is_file()
