"""The known faults of the original evaluation, each with a test that ours cannot have it.

Civit-Masot et al. 2019 (doi 10.1109/ACCESS.2019.2944692), by its published code: test images reached training; the
validation set held uninitialised memory; test images stood twice in the mean; the model was selected on the test set;
crops at test time came from the ground truth; an empty prediction took over the numbers of the image before it.
"""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fundusseg import fit
from fundusseg.data.augmentation import Augmentation
from fundusseg.data.datamodule import FundusDataModule
from fundusseg.data.preparation import Preparation
from fundusseg.data.seen_patients import SeenPatients
from fundusseg.data.splits import Split
from fundusseg.data.static_variants import Variants
from fundusseg.datasets import Folder, Phantom
from fundusseg.errors import DatasetError
from fundusseg.evaluation.cohort import select_cohort
from fundusseg.evaluation.estimates import make_estimates
from fundusseg.evaluation.protocols import select_protocols
from fundusseg.evaluation.scoring import Case, Evaluation
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.models import checkpoint
from fundusseg.sample import Annotation, Sample
from fundusseg.training.scores import SegmentationScores
from tests.miniatures.phantom_folder import write_folder
from tests.support.train_pair import COMMON, NETWORK, train_pair

pytestmark = pytest.mark.slow


def module(cache: Path, datasets, **options) -> FundusDataModule:
    """Prepared and set up."""
    settings = {"datasets": datasets, "image_size": 32, "batch_size": 4, "cache_dir": str(cache), **options}
    data = FundusDataModule(**settings)
    data.prepare_data()
    data.setup()
    return data


# Images of the test split reaching training; and: model selected on the test set


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory) -> list[Path]:
    """Two trainings on the same files, of which the second run's test pictures show something else altogether."""
    place = tmp_path_factory.mktemp("faults")
    write_folder(place / "before", 24)
    split = module(place / "cache", [Folder(place / "before")]).split
    write_folder(place / "after", 24, changed=frozenset(key.split("/")[1] for key in split.test))
    runs = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("before", "after"):
            (place / name / "run").mkdir()
            patch.chdir(place / name / "run")
            arguments = [
                f"--data.datasets=[{{class_path: fundusseg.datasets.Folder, init_args: {{root: {place / name}}}}}]",
                *("--data.image_size=32", "--data.batch_size=4", f"--data.cache_dir={place}/{name}/cache"),
                *(*NETWORK, "--trainer.max_epochs=4"),
                "--trainer.callbacks+=fundusseg.training.ThresholdSearch",
            ]
            assert fit.main(arguments) == 0
            runs.append(place / name / "run" / "runs" / "version_0")
    return runs


def test_test_pictures_change_no_weight(two_runs):
    (_, weights), (_, again) = (checkpoint.load(run / "checkpoints" / "last.ckpt") for run in two_runs)
    one, other = (Split.load(run / "split.json") for run in two_runs)  # checkpoints hold no names
    assert one.test == other.test and len(one.test) > 2
    assert [one.files[key] != other.files[key] for key in one.test] == [True] * len(one.test)
    assert all(one.files[key] == other.files[key] for key in (*one.train, *one.val))
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    # The test did change: what stays the same does so although the scores do not.
    first, second = ((run / "test.json").read_text() for run in two_runs)
    assert first != second


def test_test_pictures_choose_no_epoch_and_no_threshold(two_runs):
    (one, weights), (other, again) = (checkpoint.load(run / "checkpoints" / "best.ckpt") for run in two_runs)
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert one.thresholds == other.thresholds
    epochs = [torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["epoch"] for run in two_runs]
    assert epochs[0] == epochs[1]
    monitored = torch.load(two_runs[0] / "checkpoints" / "best.ckpt", weights_only=True)["callbacks"]
    assert any("val/dice" in name for name in monitored) and not any("test" in name for name in monitored)


def test_no_draw_of_any_epoch_is_a_test_picture(tmp_path):
    # Oversampled sources, stored variants, several epochs: all that copied images in the original.
    datasets = [Phantom(count=20, size=96, name="a"), Phantom(count=9, size=96, name="b", seed=1)]
    options = {"source_weights": {"b": 3.0}, "variants": Variants(copies=2, brightness=[0.9])}
    data = module(tmp_path, datasets, samples_per_epoch=60, **options)
    loader = data.train_dataloader()
    drawn = set()
    for epoch in range(3):
        loader.sampler.set_epoch(epoch)
        drawn |= {data.records[index].key for batch in loader for index in batch["index"].tolist()}
    assert drawn and drawn <= set(data.split.train)
    assert not drawn & {*data.split.val, *data.split.test}


@pytest.mark.parametrize("by", ["patient", "image"])
def test_a_split_file_with_a_picture_on_both_sides_is_refused(tmp_path, by):
    data = module(tmp_path, [Phantom(count=12, size=96)])
    both = replace(data.split, train=(*data.split.train, data.split.test[0]), by=by)
    both.save(tmp_path / "split.json")
    with pytest.raises(DatasetError, match=f"{by} .* in both train and test"):
        module(tmp_path, [Phantom(count=12, size=96)], split=str(tmp_path / "split.json"))


def test_a_test_picture_that_trains_under_another_name_is_refused(tmp_path):
    write_folder(tmp_path / "one", 12)
    write_folder(tmp_path / "two", 12, seed=5)
    split = module(tmp_path / "cache", [Folder(tmp_path / "one")]).split
    test = split.test[0].split("/")[1]
    # The same photograph as a training picture of another source, with masks of its own.
    (tmp_path / "two/images/00000.png").write_bytes((tmp_path / "one/images" / f"{test}.png").read_bytes())
    (tmp_path / "two/masks/00000.png").write_bytes((tmp_path / "one/masks" / f"{test}.png").read_bytes())
    with pytest.raises(DatasetError, match="near-identical pictures"):
        module(tmp_path / "cache", [Folder(tmp_path / "one"), Folder(tmp_path / "two", name="two")])


# Uninitialised memory in the validation set


@pytest.mark.parametrize("count", [20, 24])
def test_every_validation_sample_is_a_prepared_picture(tmp_path, monkeypatch, count):
    fresh = np.empty

    def littered(*arguments, **options):
        array = fresh(*arguments, **options)
        if array.dtype.kind in "uif":
            array.fill(113)
        return array

    monkeypatch.setattr(np, "empty", littered)
    data = module(tmp_path, [Phantom(count=count, size=96)], val_share=0.3, train_augmentation=Augmentation())
    prepare = Preparation(image_size=32)
    shown = []
    for batch in data.val_dataloader():
        for row in range(len(batch["index"])):
            record = data.records[int(batch["index"][row])]
            wanted = prepare(data.datasets[0].load(record))
            assert np.array_equal(batch["image"][row].permute(1, 2, 0), wanted.image)
            assert np.array_equal(batch["target"][row].permute(1, 2, 0), wanted.truth)
            assert bool(batch["valid"][row].all())
            shown += [record.key] * int(batch["weight"][row])
    # Every validation picture once; what only fills the last batch weighs nothing.
    assert sorted(shown) == sorted(data.split.val) and len(shown) % 4


# Duplicated test images in the mean


def test_what_fills_the_last_batch_is_in_no_mean(tmp_path):
    data = module(tmp_path, [Phantom(count=24, size=96)], batch_size=4)
    assert len(data.split.test) % 4
    scores, dice = SegmentationScores(("disc", "cup"), ["phantom"]), {}
    for batch in data.test_dataloader():
        # "Predicts" a disc of half the picture for each: every picture has another Dice.
        truth = batch["target"] > 127
        found = torch.zeros_like(truth)
        found[:, :, :, :16] = True
        scores.update(found, truth, batch["valid"], batch["weight"], batch["source"])
        for row, index in enumerate(batch["index"].tolist()):
            one, other = found[row, 0], truth[row, 0]
            dice[index] = 2 * float((one & other).sum()) / float(one.sum() + other.sum())
    score = next(s for s in scores.scores() if (s.source, s.region, s.metric) == ("all", "disc", "dice"))
    assert score.n == len(data.split.test) == len(dice) and len(set(dice.values())) > 2
    assert score.value == pytest.approx(np.mean([*dice.values()]), abs=1e-6)


def test_each_test_picture_is_one_row_and_a_second_copy_is_refused(tmp_path, predictor):
    write_folder(tmp_path / "one", 6, seed=3)
    write_folder(tmp_path / "two", 6, seed=3)
    one, two = Folder(tmp_path / "one", name="one"), Folder(tmp_path / "two", name="two")
    nobody = SeenPatients([Split((), (), ())])
    cases = select_cohort([one], nobody)
    rows = score(predictor, cases)
    assert [row["name"] for row in rows] == [record.name for record in one.records]
    disc = next(f for f in make_estimates(rows) if (f.source, f.region, f.metric) == ("all", "disc", "dice"))
    assert disc.n + disc.undefined == 6
    with pytest.raises(DatasetError, match=r"6 pictures that stand in two sources, such as one/00000 = two/00000"):
        select_cohort([one, two], nobody)


# Ground-truth crops at test time


class Moved(Phantom):
    """Phantoms whose experts drew elsewhere, and larger."""

    def load(self, record):
        sample = super().load(record)
        moved = [np.roll(a.mask | np.roll(a.mask, 9, 0), (-20, 15), (0, 1)) for a in sample.annotations]
        annotations = [Annotation(a.region, a.expert, mask) for a, mask in zip(sample.annotations, moved, strict=True)]
        return Sample(sample.record, sample.image, tuple(annotations))


@pytest.fixture(scope="module")
def predictor(tmp_path_factory) -> Predictor:
    """A network that finds discs, with a localiser."""
    made = train_pair(tmp_path_factory.mktemp("predictor"), COMMON)
    segmenter, localiser = (Bundle.load(made[name]).segmenters[0] for name in ("segmenter", "localiser"))
    return Predictor(Bundle((segmenter,), localiser))


def score(predictor: Predictor, cases: list[Case], protocol: str = "automatic_roi") -> list[dict]:
    """The rows of some pictures."""
    return [
        row for scored in Evaluation({"model": predictor}, select_protocols([protocol]))(cases) for row in scored.rows
    ]


def found(row: dict) -> dict:
    """What a row says of the label map alone."""
    names = ("vertical_cdr", "horizontal_cdr", "area_cdr", "rim_min_ratio", "verdict", "error")
    return {name: row[name] for name in names}


def test_the_automatic_roi_protocol_finds_the_same_whatever_the_truth_is(predictor):
    options = {"count": 8, "size": 128, "seed": 77}
    cases = [[Case(d, r) for r in d.records] for d in (Phantom(**options), Moved(**options))]
    plain, moved = (score(predictor, some) for some in cases)
    assert [found(row) for row in plain] == [pytest.approx(found(row), nan_ok=True, abs=0) for row in moved]
    assert sum(row["disc_dice"] > 0.5 for row in plain) >= 6, "the network finds discs"
    assert all(one["disc_dice"] != other["disc_dice"] for one, other in zip(plain, moved, strict=True)), "scores differ"


def test_the_ground_truth_roi_protocol_crops_by_the_truth_and_says_so(predictor):
    # What the test above would show of a protocol that has the fault.
    options = {"count": 8, "size": 128, "seed": 77}
    cases = [[Case(d, r) for r in d.records] for d in (Phantom(**options), Moved(**options))]
    plain, moved = (score(predictor, some, "ground_truth_roi") for some in cases)
    assert any(found(one)["area_cdr"] != found(other)["area_cdr"] for one, other in zip(plain, moved, strict=True))
    (by_truth,), (automatic,) = select_protocols(["ground_truth_roi"]), select_protocols(["automatic_roi"])
    assert "taken from the ground truth" in by_truth.describe(predictor) and "automatically" in automatic.describe(
        predictor
    )


# An empty prediction reusing the previous image's values


class Dark(Phantom):
    """Phantoms of which every second shows nothing at all."""

    def load(self, record):
        sample = super().load(record)
        return replace(sample, image=np.zeros_like(sample.image)) if int(record.name) % 2 else sample


@pytest.mark.parametrize("protocol", ["automatic_roi", "ground_truth_roi"])
def test_an_empty_prediction_has_no_numbers_of_its_neighbour(predictor, protocol):
    dataset = Dark(count=6, size=128, seed=77)
    cases = [Case(dataset, record) for record in dataset.records]
    together = score(predictor, cases, protocol)
    alone = [row for case in cases for row in score(predictor, [case], protocol)]
    backwards = score(predictor, cases[::-1], protocol)[::-1]
    for rows in (alone, backwards):
        assert [pytest.approx(row, nan_ok=True, abs=0) for row in rows] == together
    if protocol == "ground_truth_roi":
        return
    empty = together[1::2]
    assert all(row["disc_dice"] == row["disc_recall"] == 0 and row["verdict"] == "reject" for row in empty)
    for name in ("vertical_cdr", "area_cdr", "rim_min_ratio", "disc_hd95", "disc_precision", "disc_centre_distance"):
        assert all(math.isnan(row[name]) for row in empty)
    assert not any(math.isnan(row["vertical_cdr"]) for row in together[::2])
    mae = next(f for f in make_estimates(together) if (f.source, f.metric) == ("all", "vertical_cdr_error"))
    assert (mae.n, mae.undefined) == (3, 3), "undefined is counted, and is in no mean"


def test_an_empty_prediction_in_a_batch_is_undefined_and_counted():
    truth = torch.zeros(2, 2, 16, 16, dtype=torch.bool)
    truth[:, 0, 2:12, 2:12] = truth[:, 1, 4:9, 4:9] = True
    found = truth.clone()
    found[1] = False  # after a perfect one
    scores = SegmentationScores(("disc", "cup"), ["a"])
    scores.update(found, truth, torch.ones(2, 2, dtype=torch.bool), torch.ones(2), torch.zeros(2, dtype=torch.int64))
    cells = {(s.region, s.metric): s for s in scores.scores() if s.source == "all"}
    assert cells["disc", "dice"].value == 0.5
    ratio = cells["disc+cup", "vertical_cdr_error"]
    assert (ratio.value, ratio.n, ratio.undefined) == (0, 1, 1)
