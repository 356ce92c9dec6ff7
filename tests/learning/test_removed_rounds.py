"""Rounds and champions that were removed to free the disk."""

import json

import pytest

from fundusseg.errors import ConfigurationError
from fundusseg.learning import improvement_round
from fundusseg.learning.champions import Champions


def test_rounds_that_were_removed_stop_nothing_and_no_champion_is_written_over(tmp_path):
    champions, bundle = Champions(tmp_path / "champions"), tmp_path / "a.bundle"
    champions.folder.mkdir()
    for number, before in enumerate((None, "champion-0000.bundle")):
        bundle.write_text(f"{number}")
        champions.point_to(champions.keep(bundle, number, before and champions.folder / before, {}))
    (champions.folder / "champion-mine.bundle").touch()
    assert improvement_round._begin(champions, 7)[0] == 2
    folder = improvement_round.round_folder(champions, 2)
    (folder / "recalibrated").mkdir()  # killed, and taken up again
    assert json.loads((folder / "begun.json").read_text())["champion"] == "champion-0001.bundle"
    assert improvement_round._looks(champions, 2) == []
    assert improvement_round._learnt_until(champions, 2) == 0


def test_without_the_first_champion_none_takes_its_place(tmp_path):
    champions, bundle = Champions(tmp_path), tmp_path / "a.bundle"
    bundle.touch()
    kept = [champions.keep(bundle, number, None, {}) for number in (0, 1)]
    assert champions.first == kept[0]
    kept[0].unlink()
    with pytest.raises(ConfigurationError, match=r"no champion-0000\.bundle in .*put it back"):
        _ = champions.first
