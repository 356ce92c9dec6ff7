"""A killed process leaves a file whole or not at all, and what it was writing is cleared away."""

import os
import socket
import subprocess
import sys

import pytest

from fundusseg.atomic_file import write_whole

KILLED = """
import os, signal, sys
from pathlib import Path
Path.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
from fundusseg.atomic_file import write_whole
write_whole(Path(sys.argv[1]), b"half")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_what_a_killed_process_was_writing_is_removed_by_the_next(tmp_path):
    for name in ("a.json", "b-1.tar.gz"):
        assert subprocess.run([sys.executable, "-c", KILLED, tmp_path / name], check=False).returncode == -9
        assert [path.name.endswith(".partial") for path in tmp_path.iterdir()] == [True], "the one before is removed"
    write_whole(tmp_path / "other.json", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["other.json"]


def test_what_others_are_writing_stays(tmp_path):
    here = socket.gethostname()
    others = [f".a.json.{here}-{os.getppid()}.partial", ".a.json.elsewhere-1.partial", ".notes-1.txt", "a-1.partial"]
    for name in others:
        (tmp_path / name).write_text("half")
    old = tmp_path / ".b.json.elsewhere-1.partial"
    old.write_text("half")
    os.utime(old, (0, 0))
    write_whole(tmp_path / "a.json", b"whole")
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", *others}
