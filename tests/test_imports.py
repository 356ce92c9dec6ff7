"""The arrows inside the package point one way, and heavy libraries have one owner each."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import fundusseg

ROOT = Path(fundusseg.__file__).parent
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in ROOT.rglob("*.py")}
ENTRY_POINTS = {"prepare", "fit", "evaluate", "predict", "bundle", "convert", "study", "__main__"}

OWNERS = {
    "albumentations": {"augment"},
    "segmentation_models_pytorch": {"models.smp"},
    "torch_xla": {"xla"},
    "PIL": {"images"},
}
FORBIDDEN = {
    "sample": {"torch"},
    "errors": {"torch"},
    "masks": {"torch"},
    "measures": {"torch"},
    "roi": {"torch"},
    "plot": {"torch"},
    "quality": {"torch"},
    "trust": {"torch"},
    "chart": {"torch", "matplotlib.pyplot"},
    "contours": {"torch"},
    "moments": {"torch"},
    "rim": {"torch"},
    "agreement": {"torch"},
    "eye": {"torch"},
    "overlap": {"torch"},
    "surfaces": {"torch"},
    "intervals": {"torch"},
    "concordance": {"torch"},
    "roc": {"torch"},
    "reliability": {"torch"},
    "paired": {"torch"},
    "sums": {"torch"},
    "comparison": {"torch"},
    "figures": {"torch"},
    "differences": {"torch"},
    "scoreboard": {"torch"},
    "worst": {"torch"},
    "jobs": {"torch"},
    "workers": {"torch"},
    "crosstable": {"torch"},
    "harvest": {"torch"},
    "heatmap": {"torch", "matplotlib.pyplot"},
    "blandaltman": {"torch", "matplotlib.pyplot"},
    "vectors": {"torch", "matplotlib.pyplot"},
    "publication": {"torch"},
    "task": {"fundusseg.datasets", "fundusseg.masks", "fundusseg.measures"},
    "predictor": {"lightning", "fundusseg.datasets", "fundusseg.task", "fundusseg.datamodule"},
}


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module that a file names in an import, functions' own imports included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def names(found: frozenset[str], library: str) -> bool:
    return any(name == library or name.startswith(f"{library}.") for name in found)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_only_the_owner_imports_a_library(module):
    found = imports(MODULES[module])
    foreign = {library for library, owners in OWNERS.items() if module not in owners and names(found, library)}
    assert not foreign


@pytest.mark.parametrize("module", sorted(FORBIDDEN))
def test_what_a_module_must_not_import(module):
    found = imports(MODULES[module])
    assert not {library for library in FORBIDDEN[module] if names(found, library)}


def test_nothing_imports_an_entry_point():
    for module, path in MODULES.items():
        found = imports(path)
        assert not {entry for entry in ENTRY_POINTS if names(found, f"fundusseg.{entry}")}, module


def test_the_arrows_make_no_circle():
    inside = {
        module: {other for other in MODULES if other != module and names(imports(path), f"fundusseg.{other}")}
        for module, path in MODULES.items()
        if not module.endswith("__init__")
    }
    done: set[str] = set()
    while ready := {
        module for module, needs in inside.items() if module not in done and not (needs & set(inside)) - done
    }:
        done |= ready
    assert done == set(inside)


@pytest.mark.parametrize(
    "module",
    [
        "",
        ".measures",
        ".masks",
        ".roi",
        ".plot",
        ".chart",
        ".eye",
        ".agreement",
        ".report",
        ".scoreboard",
        ".differences",
    ],
)
def test_numpy_side_loads_no_torch(module):
    code = f"import sys, fundusseg{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_public_names_are_there():
    for name in fundusseg.__all__:
        assert getattr(fundusseg, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        fundusseg.nothing  # noqa: B018


def test_modules_stay_small():
    assert {module: n for module, path in MODULES.items() if (n := len(path.read_text().splitlines())) > 400} == {}
