"""The examples in docstrings are run as they stand, and every module of measures/ has one."""

import doctest
import importlib
from pathlib import Path

import pytest

import fundusseg

ROOT = Path(fundusseg.__file__).parent

MODULES = [path for path in sorted(ROOT.rglob("*.py")) if ">>> " in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(ROOT)) for path in MODULES])
def test_examples(path):
    name = ".".join(("fundusseg", *path.relative_to(ROOT).with_suffix("").parts))
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0 < result.attempted


def test_every_measure_has_an_example():
    assert {*(ROOT / "measures").glob("*.py")} - {ROOT / "measures" / "__init__.py"} <= {*MODULES}
