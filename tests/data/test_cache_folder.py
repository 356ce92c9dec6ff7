"""The folder of prepared samples on machines that are not as one's own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fundusseg import prepare
from fundusseg.data import cache_folder
from fundusseg.data.cache_folder import default_folder, reserve
from fundusseg.data.preparation import Preparation
from fundusseg.data.store import PreparedStore
from fundusseg.datasets import Phantom
from fundusseg.errors import ConfigurationError

SMALL = Preparation(image_size=32)


@pytest.fixture
def file(tmp_path) -> Path:
    """Where no folder can be made, by whoever."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file"


def test_the_users_own_cache_folder_is_taken(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".cache" / "fundusseg"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "given"))
    assert default_folder() == tmp_path / "given" / "fundusseg"


@pytest.mark.skipif(os.name == "nt", reason="homes of POSIX")
@pytest.mark.parametrize("home", ["/", "a file"])
def test_without_a_home_the_folder_for_temporary_files_is_taken(home, file, tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(file) if home == "a file" else home)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    assert default_folder() == tmp_path / "temporary" / f"fundusseg-{os.getuid()}" / "fundusseg"


@pytest.mark.skipif(os.name == "nt", reason="homes of POSIX")
def test_a_user_whom_the_system_does_not_know_and_who_has_no_home():
    """As a container starts a process under a number alone."""
    code = """
import os
if os.getuid() == 0:
    os.setgid(54321); os.setuid(54321)
from fundusseg.data.cache_folder import default_folder
print(default_folder())
"""
    environment = {key: value for key, value in os.environ.items() if key not in ("HOME", "XDG_CACHE_HOME")}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    if os.getuid() == 0 and "ModuleNotFoundError" in run.stderr:
        pytest.skip("the package lies where only root can read")
    assert run.returncode == 0, run.stderr
    folder = Path(run.stdout.strip())
    assert folder.is_dir() and folder.name == "fundusseg"
    if os.getuid() == 0:
        shutil.rmtree(folder.parent)


def test_a_given_folder_that_cannot_be_written_to_is_named(file):
    with pytest.raises(ConfigurationError, match=r"cannot be written to: .*file/cache .* set --data\.cache_dir"):
        PreparedStore.build(Phantom(count=2, size=96), SMALL, file / "cache")


@pytest.mark.slow
def test_more_than_the_disk_holds_is_refused_before_anything_is_decoded(tmp_path):
    dataset = Phantom(count=20_000, size=96)
    dataset.load = lambda record: pytest.fail("decoded")
    with pytest.raises(ConfigurationError, match=r"got [\d,]+ bytes free .*; expected [\d,]{14,} bytes; make room"):
        PreparedStore.build(dataset, Preparation(image_size=16_384), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user cannot make a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_up_meanwhile_ends_in_the_same_sentence(small_disk):
    dataset = Phantom(count=10, size=96)
    load = dataset.load

    def fill(record):
        with (small_disk / "other").open("ab") as other:
            other.write(bytes(150_000))
        return load(record)

    dataset.load = fill
    assert len(PreparedStore.build(Phantom(count=10, size=96, seed=2), SMALL, small_disk)) == 10
    with pytest.raises(OSError, match="No space left"):  # the other program's, not the store's: its room is taken
        PreparedStore.build(dataset, SMALL, small_disk)
    (small_disk / "other").unlink()
    with pytest.raises(ConfigurationError, match="bytes free for prepared samples"):
        PreparedStore.build(Phantom(count=200, size=96), SMALL, small_disk)
    assert not [path for path in small_disk.iterdir() if path.name.startswith(".")]


def test_room_is_taken_for_real(tmp_path):
    with (tmp_path / "sparse").open("wb") as sparse:
        sparse.truncate(3_000_000)
    assert (tmp_path / "sparse").stat().st_blocks * 512 < 3_000_000
    reserve([(tmp_path / "sparse", 3_000_000)], tmp_path)
    assert (tmp_path / "sparse").stat().st_blocks * 512 >= 3_000_000


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
@pytest.mark.slow
def test_what_a_killed_process_left_is_removed_at_the_next_start(tmp_path):
    code = f"""
import os, signal
from pathlib import Path
from fundusseg.data.preparation import Preparation
from fundusseg.data.store import PreparedStore
from fundusseg.datasets import Phantom
dataset = Phantom(count=9, size=96)
dataset.load = lambda record: os.kill(os.getpid(), signal.SIGKILL)
PreparedStore.build(dataset, Preparation(image_size=32), Path({str(tmp_path)!r}))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    mine = left.with_name(left.name.replace(f"-{left.name.split('-')[-2]}-", f"-{os.getpid()}-"))
    mine.mkdir()
    store = PreparedStore.build(Phantom(count=3, size=96), SMALL, tmp_path)
    assert set(tmp_path.iterdir()) == {store.folder, mine}, "one that a living process writes stays"


def test_prune_removes_what_nothing_asks_for(tmp_path, monkeypatch, capsys):
    cache, old = tmp_path / "cache", time.time() - 86_400 * (cache_folder.KEPT_DAYS + 1)
    stores = {seed: PreparedStore.build(Phantom(count=3, size=96, seed=seed), SMALL, cache).folder for seed in range(4)}
    os.utime(stores[1] / "used.json", (old, old))
    (stores[2] / "used.json").write_text(json.dumps({"code": "older"}))
    (cache / "thesis").mkdir()
    os.utime(stores[0] / "used.json", (old, old))
    monkeypatch.chdir(tmp_path)
    phantom = "[{class_path: fundusseg.datasets.Phantom, init_args: {count: 3, size: 96}}]"
    prepare.main([f"--data.cache_dir={cache}", "--data.image_size=32", f"--data.datasets={phantom}", "--prune=true"])
    assert {path for path in cache.iterdir() if path.is_dir()} == {stores[0], stores[3], cache / "thesis"}
    assert "2 stores out of use removed" in capsys.readouterr().out
