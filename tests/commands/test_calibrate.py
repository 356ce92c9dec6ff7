"""The command that fits a bundle to a site: from a site's files to another bundle, and what it says of the gain."""

from pathlib import Path

import pytest
import torch
import yaml

from fundusseg import calibrate, evaluate
from fundusseg.data.splits import Split
from fundusseg.errors import ConfigurationError, DatasetError
from fundusseg.imaging.image_files import read_photograph
from fundusseg.inference import model_bundle
from fundusseg.inference.model_bundle import KEY, Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.models import checkpoint
from tests.support import painted, painted_site

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A site's eyes, a bundle, and a configuration that names the eyes."""
    place = tmp_path_factory.mktemp("site")
    painted_site.write(place / "eyes")
    painted.checkpoint(place / "best.ckpt", Split(("x/1",), ("x/2",), ()), painted.data(Path("one")))
    model_bundle.save(place / "fundus.bundle", [place / "best.ckpt"], None, None)
    (place / "site.yaml").write_text(yaml.safe_dump({"data": painted.data(Path("eyes"), name="clinic")}))
    return place


def run(site: Path, output: Path, *arguments: str, drawn: bool = True) -> Bundle:
    given = ["--config", f"{site}/site.yaml", "--data.root", str(site)]
    eyes = given if drawn else ["--ratios", f"{site}/eyes/ratios.csv"]
    shared = ["--bundle", f"{site}/fundus.bundle", "--output", str(output), "--trust", "tests"]
    assert calibrate.main([*shared, *eyes, *arguments]) == 0
    return Bundle.load(output)


@pytest.fixture(scope="module")
def usual(site) -> Path:
    """The bundle for this site, from its outlines."""
    run(site, site / "usual.bundle")
    return site / "usual.bundle"


@pytest.mark.parametrize("drawn", [True, False], ids=["outlines", "ratios alone"])
def test_ten_eyes_bring_the_sites_convention(site, tmp_path, capsys, drawn):
    made = run(site, tmp_path / "site.bundle", drawn=drawn)
    thresholds = made.segmenters[0].description.thresholds
    assert thresholds["disc"] == 0.5 and thresholds["cup"] == pytest.approx(0.047, abs=0.015)  # logit -3
    assert made.calibration.count == 10 and made.calibration.views == 4
    told = capsys.readouterr().out
    assert "From 10 eyes: the cup's threshold is now" in told and "jackknife" in told
    card = (tmp_path / "site.md").read_text()
    assert "fitted on 10 pictures of" in card and "leaving out each patient" in card and str(site) not in card


def test_no_other_byte_of_the_weights_changes(site, usual):
    before, after = (torch.load(file, weights_only=True)[KEY] for file in (site / "fundus.bundle", usual))
    for one, other in zip(before["segmenters"], after["segmenters"], strict=True):
        assert all(torch.equal(one["state_dict"][name], weight) for name, weight in other["state_dict"].items())
        changed = {key for key, value in one[checkpoint.KEY].items() if other[checkpoint.KEY][key] != value}
        assert changed == {"thresholds", "earlier"}
    assert before["localiser"] == after["localiser"]


def test_a_checkpoint_becomes_a_bundle(site, tmp_path):
    made = run(site, tmp_path / "site.bundle", "--bundle", f"{site}/best.ckpt")
    assert made.calibration is not None and KEY in torch.load(tmp_path / "site.bundle", weights_only=True)


def test_a_gain_that_is_not_there_is_not_claimed(site, tmp_path, capsys):
    painted_site.write(tmp_path / "eyes", reader=0.0)
    made = run(site, tmp_path / "site.bundle", "--data.root", str(tmp_path))
    assert made.segmenters[0].description.thresholds == {"disc": 0.5, "cup": 0.5}
    assert "no gain beyond chance in the cup: its threshold stays 0.500" in capsys.readouterr().out
    assert made.calibration.count == 10


def test_who_was_calibrated_on_is_known_again(site, usual, tmp_path):
    scored = ["--config", f"{site}/site.yaml", "--data.root", str(site), "--trust", "tests"]
    with pytest.raises(DatasetError, match="10 of 10 pictures"):
        evaluate.main(["--checkpoint", str(usual), *scored, "--output", f"{tmp_path}/out"])
    with pytest.raises(ConfigurationError, match="0 eyes of 0 patients"):
        run(site, tmp_path / "twice.bundle", "--bundle", str(usual))


def test_what_cannot_be_used_is_said_and_the_rest_is_done(site, tmp_path, capsys):
    painted_site.write(tmp_path / "eyes")
    (tmp_path / "eyes" / "images" / "e3.png").write_bytes(b"no picture")
    arguments = ["--ratios", f"{tmp_path}/eyes/ratios.csv", "--bundle", f"{site}/fundus.bundle"]
    assert calibrate.main([*arguments, "--output", f"{tmp_path}/site.bundle", "--trust", "tests"]) == 1
    told = capsys.readouterr().out
    assert "images/e3.png not used" in told and "From 9 eyes" in told


CHANGES = {
    "bundle": ["--bundle", "{site}/other.bundle"],
    "coverage": ["--coverage", "0.7"],
    "views": ["--views", "2"],
    "data.root": ["--data.root", "{site}/elsewhere"],
    "data.datasets": ["--data.datasets", "[]"],
    "ratios": ["--ratios", "{site}/eyes/ratios.csv"],
    "config": ["--config", "{site}/none.yaml"],
    "device": ["--device", "nowhere"],
}
"""What changes the bundle, or is refused."""


@pytest.mark.parametrize("option", CHANGES)
def test_every_option_has_an_effect(site, usual, tmp_path, option):
    painted.checkpoint(site / "other.ckpt", Split(("x/1",), (), ()), thresholds=0.4)
    model_bundle.save(site / "other.bundle", [site / "other.ckpt"], None, None)
    try:
        run(site, tmp_path / "changed.bundle", *(argument.format(site=site) for argument in CHANGES[option]))
    except Exception as error:
        assert option in ("data.root", "data.datasets", "ratios", "config", "device"), error
        assert type(error).__module__ == "fundusseg.errors", error
        return
    one, other = (torch.load(file, weights_only=True)[KEY] for file in (usual, tmp_path / "changed.bundle"))
    described = [[part[checkpoint.KEY] for part in made["segmenters"]] for made in (one, other)]
    assert one["calibration"] != other["calibration"] or described[0] != described[1]


def test_every_option_is_walked():
    options = {action.dest for action in calibrate.parser()._actions if not action.dest.endswith(".help")}
    assert options - {"data"} == {*CHANGES, "output", "help", "trust"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no eyes to calibrate with"),
        (["--ratios", "{site}/eyes/ratios.csv", "--views", "1"], "one look at each photograph"),
        (["--ratios", "{site}/eyes/ratios.csv", "--coverage", "90"], "coverage 90"),
        (["--ratios", "{site}/eyes/ratios.csv", "--bundle", "{site}/disc.ckpt"], "a network of disc"),
    ],
)
def test_what_cannot_be_followed_is_refused(site, tmp_path, arguments, words):
    painted.checkpoint(site / "disc.ckpt", regions=("disc",))
    given = [argument.format(site=site) for argument in arguments]
    with pytest.raises(ConfigurationError, match=words):
        calibrate.main(["--bundle", f"{site}/fundus.bundle", *given, "--output", f"{tmp_path}/a", "--trust", "tests"])
    assert not (tmp_path / "a").exists()


def test_the_calibrated_bundle_measures_as_the_reader_does(site, usual):
    made = Predictor.from_checkpoint(usual)
    file, _, ratio = (site / "eyes" / "ratios.csv").read_text().splitlines()[1].split(",")
    found = made(read_photograph(site / "eyes" / file))
    assert found.measures.vertical_cdr == pytest.approx(float(ratio), abs=0.02)
    assert found.vertical_cdr_low < float(ratio) < found.vertical_cdr_high
