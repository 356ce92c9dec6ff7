"""The arrows between the rooms point one way, and every heavy library has one owner; transitive imports included."""

import ast
import importlib
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import fundusseg

PACKAGE = Path(fundusseg.__file__).parent
GROUND = ["errors", "atomic_file", "plain_types", "class_paths", "sample", "parser_errors", "cli"]
"""Modules beside the rooms that every room may import."""

ROOMS = {
    "dicom": {},
    "imaging": {"dicom"},
    "measures": {"imaging"},
    "datasets": {"dicom", "imaging"},
    "data": {"imaging", "measures", "datasets"},
    "models": {"data"},
    "runtimes": {"data", "models"},
    "xla": {},
    "reports": {"imaging", "measures", "data", "models"},
    "training": {"measures", "data", "models", "xla", "reports"},
    "inference": {"dicom", "imaging", "measures", "models", "runtimes", "xla", "reports"},
    "patients": {"imaging", "measures", "reports", "inference"},
    "evaluation": {"imaging", "measures", "datasets", "data", "models", "inference", "reports"},
    "studies": {"measures", "data", "reports"},
    "service": {"dicom", "imaging", "measures", "xla", "reports", "inference"},
    "cluster": {"imaging", "measures", "xla", "reports", "inference", "patients", "studies", "service"},
    "learning": {
        *("imaging", "measures", "datasets", "data", "models", "reports", "training", "inference", "evaluation"),
        "service",
    },
}
"""Which room may import which, ground first: a room names only rooms above it."""

OWNERS = {
    "albumentations": "data.augmentation",
    "segmentation_models_pytorch": "models.smp",
    "torch_xla": "xla.backend",
    "PIL": "imaging.image_files",
    "h5py": "models.keras_weights",
    **dict.fromkeys(("pydicom", "highdicom", "pynetdicom", "dicomweb_client"), "dicom"),
    "ray": "cluster",
    "pyarrow": "cluster",
    "fsspec": "cluster",
    **dict.fromkeys(("onnxruntime", "openvino"), "runtimes"),
    "mlflow": "learning.mlflow_log",
}
"""The only module, or room, that imports a library."""

FREE = {
    "torch": ["errors", "atomic_file", "class_paths", "sample", "cli", *list(ROOMS)[:4], "predict"],
    "lightning": ["cli", "models", "reports", "inference", "predict"],
    "albumentations": ["models", "reports", "inference", "predict"],
    "torchmetrics": ["models", "reports", "inference", "predict"],
    "imagehash": ["models", "reports", "inference", "predict"],
    "matplotlib.pyplot": list(ROOMS),
    **{library: [*list(ROOMS)[1:], "predict", "prepare"] for library in ("pydicom", "highdicom", "pynetdicom")},
}
"""Modules and rooms that do not load a library, by themselves or through what they import at their top."""

HEAVY = ("ray", "lightning", "albumentations", "torchmetrics", "imagehash", "torch", "pandas", "matplotlib", "jinja2")
"""What `predict` does not load before its arguments are read: the question for help is answered at once."""


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def imports(module: str, top: bool = False) -> frozenset[str]:
    """What a module imports by full name; of a module's top only, or in its functions too."""
    tree = ast.parse(MODULES[module].read_text())
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in tree.body if top else ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def inside(name: str) -> str | None:
    """The module of ours that an imported name belongs to; of a lazy export the module that holds it."""
    parts = name.split(".")
    if parts[0] != "fundusseg":
        return None
    for length in range(len(parts), 1, -1):
        if (module := ".".join(parts[1:length])) in MODULES:
            return exporter(module, parts[length]) if length < len(parts) and module in ROOMS else module
    if len(parts) != 2:
        return None
    return exporter("__init__", parts[1]) if parts[1] in fundusseg.__all__ else "__init__"


@cache
def exporter(room: str, name: str) -> str:
    """The module behind a name that a room exports."""
    for node in ast.parse(MODULES[room].with_suffix(".pyi").read_text()).body:
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
            return f"{node.module}" if room == "__init__" else f"{room}.{node.module}"
    raise AssertionError(f"{room} exports no {name}")


@cache
def reach(module: str) -> frozenset[str]:
    """Everything that importing a module imports, libraries too."""
    found, todo = set(), {module}
    while todo:
        one = todo.pop()
        for name in imports(one, top=True):
            found.add(name)
            if (ours := inside(name)) and ours not in found:
                found.add(ours)
                todo.add(ours)
    return frozenset(found)


def room(module: str) -> str:
    return module.partition(".")[0]


def names(found: frozenset[str], library: str) -> bool:
    return any(name == library or name.startswith(f"{library}.") for name in found)


def test_rooms_only_name_rooms_above_them():
    order = list(ROOMS)
    assert all(order.index(other) < order.index(one) for one, others in ROOMS.items() for other in others)
    assert {room(module) for module in MODULES if "." in module} == set(ROOMS)


@pytest.mark.parametrize("module", sorted(module for module in MODULES if room(module) in ROOMS))
def test_a_room_imports_only_what_it_may(module):
    allowed = {room(module), "__init__", *GROUND, *ROOMS[room(module)]}
    wrong = {name for name in imports(module) if (ours := inside(name)) and room(ours) not in allowed}
    assert not wrong, f"{module} imports {wrong}; its room may import {sorted(allowed)}"


@pytest.mark.parametrize("position", range(len(GROUND)))
def test_the_ground_imports_only_ground(position):
    wrong = {
        name
        for name in imports(GROUND[position])
        if (ours := inside(name)) and ours not in {*GROUND[:position], "__init__"}
    }
    assert not wrong


@pytest.mark.parametrize("module", MODULES)
def test_imports_are_absolute(module):
    """The other tests here follow full names, which a relative import would escape."""
    nodes = ast.walk(ast.parse(MODULES[module].read_text()))
    assert not [node.lineno for node in nodes if isinstance(node, ast.ImportFrom) and node.level]


def test_nothing_imports_a_command():
    commands = {module for module in MODULES if "." not in module} - {*GROUND, *ROOMS, "__init__"}
    for module in MODULES:
        found = {ours for name in imports(module) if (ours := inside(name))}
        assert not found & commands, module


def test_modules_make_no_circle():
    """Within a room too, by what is imported at the top."""
    needs = {
        module: {ours for name in imports(module, top=True) if (ours := inside(name)) and ours != module}
        for module in MODULES
    }
    done: set[str] = set()
    while ready := {module for module, others in needs.items() if module not in done and others <= done}:
        done |= ready
    assert done == set(MODULES)


@pytest.mark.parametrize("library", OWNERS)
def test_only_the_owner_imports_a_library(library):
    owner = OWNERS[library]
    importers = [module for module in MODULES if names(imports(module), library)]
    assert {room(module) if room(module) == owner else module for module in importers} == {owner}


@pytest.mark.parametrize("library", FREE)
def test_what_loads_no_library(library):
    for place in FREE[library]:
        for module in (module for module in MODULES if module == place or module.startswith(f"{place}.")):
            if module != OWNERS.get(library):
                assert not names(reach(module), library), f"{module} loads {library}"


TORCHLESS = [name for name in MODULES if room(name) in ("dicom", "imaging", "measures", "datasets", "cli")]


@pytest.mark.parametrize(
    ("modules", "absent"), [(["__init__", *TORCHLESS], {"torch"}), (["predict"], HEAVY)], ids=["no torch", "predict"]
)
@pytest.mark.slow
def test_importing_loads_no_library(modules, absent):
    names = ", ".join(f"fundusseg.{name}".removesuffix(".__init__") for name in modules)
    code = f"import sys, {names}; print(*{set(absent)!r} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert not loaded.strip()


def test_public_names_are_there():
    for package in (fundusseg, *(__import__(f"fundusseg.{name}", fromlist=["x"]) for name in ROOMS)):
        assert package.__all__
        for name in package.__all__:
            assert getattr(package, name) is not None
        with pytest.raises(AttributeError, match="nothing"):
            package.nothing  # noqa: B018


def test_modules_stay_small():
    lines = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    assert {module: n for module, n in lines.items() if n > 400} == {}
    assert sorted(lines.values())[len(lines) // 2] <= 150


def test_few_files_stand_beside_the_rooms():
    beside = {path.name for path in PACKAGE.iterdir()} - {*ROOMS, "bundles", "__pycache__"}
    assert len(beside) <= 24, sorted(beside)


@pytest.mark.parametrize("tool", sorted((PACKAGE.parent / "tools").glob("*.py")), ids=lambda path: path.stem)
def test_what_a_tool_imports_is_there(tool):
    for node in ast.walk(ast.parse(tool.read_text())):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("fundusseg"):
            for alias in node.names:
                module = importlib.import_module(node.module)
                name = f"{node.module}.{alias.name}".removeprefix("fundusseg.")
                assert hasattr(module, alias.name) or name in MODULES
