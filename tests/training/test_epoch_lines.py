"""What a log file holds of a training while it runs."""

import re

import pytest

from fundusseg import fit
from fundusseg.reports import progress
from tests.support.tiny import TINY


@pytest.mark.slow
def test_a_log_file_has_lines_from_the_first_photograph_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    shown = [argument for argument in TINY if "progress_bar" not in argument]
    assert fit.main([*shown, f"--data.cache_dir={tmp_path}/cache", "--trainer.max_epochs=3"]) == 0
    said, heard = capsys.readouterr()
    assert re.search(r"^24 of 24 photographs of phantom, \d+\.\d per second, 0 s left$", said, re.MULTILINE)
    lines = [line for line in said.splitlines() if line.startswith("epoch")]
    number, seconds = r"\d\.\d{4}", r"\d+ s"
    for epoch, line in enumerate(lines, start=1):
        figures = f"train loss {number}, val loss {number}, Dice {number}(, .* alike in all pictures)?"
        assert re.fullmatch(f"epoch {epoch} of 3: {figures}, {seconds}, {seconds} left", line)
    assert len(lines) == 3 and lines[-1].endswith(" 0 s left")
    assert len({re.search(f"train loss ({number})", line)[1] for line in lines}) == 3, "each epoch's own"
    assert "it/s" not in heard, "no bar of Lightning's own"
