"""The command that bundles, from tiny trained networks to a prediction with an interval."""

import math
from dataclasses import replace

import pytest
import torch

from fundusseg import bundle
from fundusseg.data.datamodule import FundusDataModule
from fundusseg.data.identity import identify
from fundusseg.datasets import Phantom
from fundusseg.errors import CheckpointError, ConfigurationError
from fundusseg.inference.model_bundle import KEY, Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.inference.segmenter import Segmenter
from fundusseg.models import checkpoint
from tests.support.train_pair import COMMON, train_pair

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> dict[str, str]:
    return train_pair(tmp_path_factory.mktemp("bundle"), COMMON)


def test_a_bundle_measures_with_an_interval(checkpoints, tmp_path):
    output = str(tmp_path / "a.bundle")
    parts = ["--segmenters", checkpoints["segmenter"], "--localiser", checkpoints["localiser"], "--output", output]
    assert bundle.main([*parts, "--calibrate=true"]) == 0
    made = Bundle.load(output)
    assert made.calibration is not None and made.calibration.count >= 9 and made.calibration.views == 4
    samples = [*Phantom(count=20, size=128, seed=77)]
    covered = []
    predictor = Predictor(made)
    for sample in samples:
        found = predictor(sample.image)
        low, high = found.vertical_cdr_low, found.vertical_cdr_high
        assert found.verdict in ("accept", "review", "reject")
        if found.measures.disc_area > 0:
            assert low <= found.measures.vertical_cdr <= high
            disc, cup = (sample.of(region)[0].mask for region in ("disc", "cup"))
            covered.append(low <= cup.any(1).sum() / disc.any(1).sum() <= high)
    assert len(covered) > 10 and sum(covered) >= 0.7 * len(covered)


def test_a_bundle_holds_nothing_that_only_training_needs(checkpoints, tmp_path):
    output = tmp_path / "a.bundle"
    assert bundle.main(["--segmenters", checkpoints["segmenter"], "--output", str(output)]) == 0
    content = torch.load(output, weights_only=True)[KEY]
    assert set(content["segmenters"][0]) == {checkpoint.KEY, "state_dict"} and content["localiser"] is None
    image = Phantom(count=1, size=128)[0].image
    mine, plain = Predictor.from_checkpoint(output)(image), Predictor.from_checkpoint(checkpoints["segmenter"])(image)
    assert mine.measures == plain.measures and math.isnan(mine.vertical_cdr_low)


def test_half_the_size_and_the_same_outlines(checkpoints, tmp_path):
    files = {half: tmp_path / f"{half}.bundle" for half in ("false", "true")}
    for half, file in files.items():
        parts = ["--segmenters", checkpoints["segmenter"], "--localiser", checkpoints["localiser"]]
        assert bundle.main([*parts, "--half", half, "--output", str(file)]) == 0
    dtypes = {half: _kernel_types(file) for half, file in files.items()}
    assert dtypes == {"false": {torch.float32}, "true": {torch.float16}}
    image = Phantom(count=1, size=128)[0].image
    whole, halved = (Predictor.from_checkpoint(file)(image).label_map for file in files.values())
    assert (whole != halved).mean() < 1e-3


def _kernel_types(file) -> set[torch.dtype]:
    inside = torch.load(file, weights_only=True)[KEY]
    parts = [*inside["segmenters"], inside["localiser"]]
    return {weight.dtype for part in parts for weight in part["state_dict"].values() if weight.ndim > 1}


def test_several_segmenters_are_averaged(checkpoints, tmp_path):
    output = str(tmp_path / "two.bundle")
    assert bundle.main(["--segmenters", *[checkpoints["segmenter"]] * 2, "--output", output]) == 0
    image = Phantom(count=1, size=128)[0].image
    found, one = Predictor.from_checkpoint(output)(image), Predictor.from_checkpoint(checkpoints["segmenter"])(image)
    assert found.measures == one.measures and len(found.views) == 2 and found.spread == pytest.approx(0)


def test_too_few_photographs_and_foreign_files_are_said(checkpoints, tmp_path):
    segmenter = ["--segmenters", checkpoints["segmenter"], "--output", str(tmp_path / "a.bundle")]
    with pytest.raises(ConfigurationError, match="for an interval of 99%"):
        bundle.main([*segmenter, "--calibrate=true", "--coverage=0.99"])
    torch.save({KEY: {"version": "0"}}, tmp_path / "odd.bundle")
    torch.save(5, tmp_path / "number.bundle")
    for name in ("odd", "number"):
        with pytest.raises(CheckpointError, match=rf"{name}\.bundle"):
            Bundle.load(tmp_path / f"{name}.bundle")
    with pytest.raises(ConfigurationError, match="finds the disc"):
        Bundle((Segmenter.from_checkpoint(checkpoints["segmenter"]),), _cup_only(checkpoints))


def test_what_does_not_fit_together_is_never_written(checkpoints, tmp_path):
    output = tmp_path / "a.bundle"
    output.write_bytes(b"an older one")
    segmenter, localiser = checkpoints["segmenter"], checkpoints["localiser"]
    for parts in (
        ["--segmenters", segmenter, localiser],
        ["--segmenters", segmenter, "--localiser", segmenter],
        ["--segmenters", segmenter, "--calibrate=true", "--views=1"],
        ["--segmenters", segmenter, "--calibrate=true", "--views=0"],
        ["--segmenters", segmenter, "--calibrate=true", "--coverage=90"],
        ["--segmenters", segmenter, "--calibrate=true", "--coverage=0.99"],
    ):
        with pytest.raises(ConfigurationError):
            bundle.main([*parts, "--output", str(output)])
        assert output.read_bytes() == b"an older one"


def test_nobody_whom_any_network_was_trained_on_calibrates(checkpoints):
    segmenter, localiser = (Segmenter.from_checkpoint(checkpoints[kind]) for kind in ("segmenter", "localiser"))
    data = FundusDataModule([Phantom(count=80, size=128)], image_size=48)
    split = segmenter.description.split
    named = {f"{r.source}/{identify(r, data.datasets[0].load(r).image).pixels}": r.key for r in data.records}

    def kept() -> list[str]:
        return [sample.record.key for sample in bundle.unseen_in_training(data, Bundle((segmenter,), localiser), split)]

    assert sorted(kept()) == sorted(named[key] for key in split.val)
    met = replace(split, train=(*split.train, split.val[0]), val=split.val[1:])
    localiser.description = replace(localiser.description, split=met)
    assert sorted(kept()) == sorted(named[key] for key in split.val[1:])
    localiser.description = replace(localiser.description, split=None)
    with pytest.raises(CheckpointError, match="whom it was trained on"):
        kept()


def _cup_only(checkpoints: dict[str, str]) -> Segmenter:
    made = Segmenter.from_checkpoint(checkpoints["localiser"])
    preparation = made.description.preparation
    object.__setattr__(preparation, "regions", ("cup",))
    return made
