"""The store's key: equal settings give one key in every process, others another."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fundusseg.data.fingerprint import fingerprint
from fundusseg.errors import ConfigurationError


class Crop:
    """A setting that is an object, without words of its own."""

    def __init__(self, scale: float) -> None:
        self.scale = scale


@dataclass
class Table:
    rows: pd.DataFrame


def settings() -> list[tuple[object, object]]:
    """Two of each kind, different ones; made anew at each call."""
    table = np.arange(4000.0).reshape(2000, 2)
    moved = table.copy()
    moved[1000, 1] += 1e-9  # in the middle, which numpy's words leave out
    return [
        (table, moved),
        (table, table.astype(np.float32)),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (Crop(1.0), Crop(2.0)),
        ({"a": Crop(1.0)}, {"b": Crop(1.0)}),
        ({"disc", "cup", "rim"}, {"disc", "cup"}),
        (Table(pd.DataFrame({"x": [1, 2]})), Table(pd.DataFrame({"x": [1, 3]}))),
        (lambda value: value + 1, lambda value: value + 2),
        (np.sin, np.cos),
        (Path("a"), "a"),
        (1, 1.0),
        (True, 1),
        (None, "None"),
        (["ab", "c"], ["a", "bc"]),
    ]


@pytest.mark.parametrize("kind", range(len(settings())))
def test_equal_settings_are_one_and_others_another(kind):
    one, other = settings()[kind]
    again = settings()[kind][0]
    assert fingerprint({"setting": one}) == fingerprint({"setting": again})
    assert fingerprint({"setting": one}) != fingerprint({"setting": other})


def test_a_circle_ends():
    one = Crop(1.0)
    one.self = one
    assert fingerprint(one) != fingerprint(Crop(1.0))


def test_what_cannot_be_compared_is_refused(tmp_path):
    with (tmp_path / "file").open("w") as file, pytest.raises(ConfigurationError, match="TextIOWrapper that cannot"):
        fingerprint({"file": file})


READER = """
import sys
from pathlib import Path
from fundusseg.data.preparation import Preparation
from fundusseg.data.store import PreparedStore
from fundusseg.datasets import Phantom

class Mine(Phantom):
    def load(self, record):
        return super().load(record)  # EDIT

made = PreparedStore.build(Mine(count=2, size=96), Preparation(image_size=32), Path(sys.argv[1]))
print(made.folder.name)
"""


@pytest.mark.slow
def test_a_reader_from_standard_input_has_a_key_that_follows_its_code(tmp_path):
    def built(code: str) -> str:
        command = [sys.executable, "-", str(tmp_path)]
        run = subprocess.run(command, input=code, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        return run.stdout.strip()

    first = built(READER)
    assert built(READER) == first, "another process hits it"
    assert built(READER.replace("return super().load(record)", "record = record; return super().load(record)")) != first
