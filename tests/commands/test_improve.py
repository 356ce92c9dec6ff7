"""From a store's corrections to a promoted bundle, or to the reason why not; and back again."""

import json
import shutil
from pathlib import Path

import pytest

from fundusseg import improve
from fundusseg.data.seen_patients import SeenPatients
from fundusseg.errors import ConfigurationError
from fundusseg.inference.model_bundle import Bundle
from fundusseg.learning.champions import Champions
from fundusseg.learning.corrections import of_part, standing
from fundusseg.service.store import Store
from tests.support import store_site

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A store of 32 patients whose reader draws cups larger than the network does."""
    place = tmp_path_factory.mktemp("site")
    champion = store_site.write_champion(place / "first.bundle")
    store = Store(place / "store")
    store_site.fill(store, champion, range(32))
    store.close()
    return place


@pytest.fixture
def place(site, tmp_path) -> Path:
    shutil.copytree(site, tmp_path / "site")
    return tmp_path / "site"


def run(place: Path, *arguments: str) -> Champions:
    shared = ["--store", str(place / "store"), "--bundle", str(place / "first.bundle"), "--trust", "tests"]
    assert improve.main([*shared, *arguments]) == 0
    return Champions(place / "store" / "champions")


def report(champions: Champions, number: int = 1) -> str:
    return (champions.folder / "rounds" / f"{number:04}" / "report.md").read_text()


def test_corrections_bring_a_better_champion_and_there_is_a_way_back(place, capsys):
    champions = run(place)
    current = champions.current
    assert current.name == "champion-0001.bundle" and current.with_suffix(".md").is_file()
    assert Bundle.load(current).segmenters[0].description.thresholds["cup"] == pytest.approx(0.047, abs=0.02)
    told = report(champions)
    assert "Promoted: recalibrated" in told and "Cup Dice" in told and "frozen patients" in told
    work = champions.folder / "rounds" / "0001"
    assert list((work / "recalibrated" / "changes").glob("*.jpg")) and not (work / "work").exists()
    again = run(place)
    assert again.current == current
    assert "nothing was corrected since the last time" in report(again, 2)
    assert improve.main(["--store", str(place / "store"), "--roll_back"]) == 0
    assert champions.current.name == "champion-0000.bundle"
    with pytest.raises(ConfigurationError, match="no champion before"):
        improve.main(["--store", str(place / "store"), "--roll_back"])
    assert "P1" not in "".join(path.read_text() for path in work.rglob("*") if path.suffix in (".md", ".csv", ".json"))


def test_no_frozen_picture_was_ever_learnt_from(place):
    champions = run(place)
    store = Store(place / "store")
    frozen = of_part(standing(store), "frozen")
    store.close()
    splits = [split for split in Bundle.load(champions.current).segmenters[0].description.splits if split]
    known = SeenPatients(splits)
    scored = (champions.folder / "rounds/0001/recalibrated/images.csv").read_text()
    assert len(frozen) > 5
    for one in frozen:
        assert one.photograph[:16] in scored
    assert 0 < len(known.files) <= 32 - len(frozen)  # a seen one would not have been scored


def test_what_is_no_better_is_not_promoted(tmp_path, capsys):
    champion = store_site.write_champion(tmp_path / "first.bundle")
    store = Store(tmp_path / "store")
    store_site.fill(store, champion, range(8))
    store.close()
    champions = run(tmp_path)
    assert champions.current.name == "champion-0000.bundle"
    assert "fewer than" in report(champions) and "Nothing promoted" in capsys.readouterr().out
    finished = json.loads((champions.folder / "rounds/0001/finished.json").read_text())
    assert finished["ended"] == "nothing promoted"


def test_a_folder_without_a_store_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="no store"):
        improve.main(["--store", str(tmp_path)])
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "wrong",
    [
        "--patients=4",
        "--minutes=0",
        "--epochs=0",
        "--rate=0",
        "--batch_size=0",
        "--seed=-1",
        "--device=nowhere",
        "--device=tpu",
        "--share=1",
    ],
)
def test_an_option_that_cannot_be_followed_is_refused(place, wrong):
    with pytest.raises(ConfigurationError):
        run(place, wrong)


def test_more_patients_may_be_asked_for(place):
    assert "fewer than 39" in report(run(place, "--patients=39"))


def test_another_first_bundle_is_refused_once_there_are_champions(place, tmp_path):
    run(place, "--patients=39")
    other = store_site.write_champion(tmp_path / "other.bundle", threshold=0.4)
    with pytest.raises(ConfigurationError, match="no champion of"):
        run(place, "--bundle", str(other))
    assert run(place, "--bundle", str(other), "--champions", str(tmp_path / "elsewhere"), "--patients=39") is not None
    assert (tmp_path / "elsewhere" / "champion-0000.bundle").read_bytes() == other.read_bytes()


def test_no_champion_is_written_over_where_the_link_to_the_current_one_is_gone(place, tmp_path):
    champions = run(place)
    kept = {path: path.read_bytes() for path in champions.folder.glob("champion-*.bundle")}
    assert len(kept) == 2
    (champions.folder / "current.bundle").unlink()
    with pytest.raises(ConfigurationError, match="ln -s champion-0001"):
        run(place)
    shutil.copyfile(champions.folder / "champion-0001.bundle", champions.folder / "current.bundle")
    with pytest.raises(ConfigurationError, match="a link to a champion beside it"):
        improve.main(["--store", str(place / "store"), "--roll_back"])
    (champions.folder / "current.bundle").unlink()
    other = store_site.write_champion(tmp_path / "other.bundle", threshold=0.4)
    with pytest.raises(ConfigurationError, match="which champion is in use"):
        run(place, "--bundle", str(other))
    assert {path: path.read_bytes() for path in kept} == kept
