"""A fine-tuned challenger: other weights, its past carried along, and nothing learnt from that is set apart."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from fundusseg.data.seen_patients import KnownPictures
from fundusseg.data.splits import Split
from fundusseg.datasets import Phantom
from fundusseg.evaluation.cohort import identify_all
from fundusseg.inference import model_bundle
from fundusseg.inference.conventions import Conventions
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.inference.uncertainty import Calibration
from fundusseg.learning import blending, challengers
from fundusseg.learning.challengers import Budget, Lessons, fine_tune, training_split
from fundusseg.learning.correction_files import write_corrections, write_rehearsal
from fundusseg.learning.corrections import of_part, standing
from fundusseg.models import checkpoint
from fundusseg.reports.metric_names import VCDR_ERROR
from fundusseg.reports.tables import Score
from fundusseg.service.store import Store
from fundusseg.training.task import SegmentationTask
from tests.support import store_site

pytestmark = pytest.mark.slow

PUBLIC = Phantom(count=24, size=96)
"""What the champion was trained, chosen and tested on."""


@pytest.fixture(scope="module")
def lessons(trained_site, tmp_path_factory) -> Lessons:
    folder, store = tmp_path_factory.mktemp("lessons"), Store(trained_site / "store")
    learn = of_part(standing(store), "train", "val")
    site = write_corrections(folder / "learn", store, learn, {}, soft=True)
    store.close()
    champion = store_site.write_champion(folder / "painter.bundle")
    store = Store(folder)
    corrected = store_site.fill(store, champion, range(3))
    others = [store_site.add(store, champion, number) for number in range(3, 12)]
    rehearsal = write_rehearsal(folder / "rehearsal", store, Predictor(Bundle.load(champion)), corrected, 5)
    assert {record.name for record in rehearsal.records} <= {one[:16] for one in others}
    store.close()
    return Lessons(site, {one.photograph[:16]: one.part for one in learn}, rehearsal, ())


def test_public_sources_teach_only_what_the_champion_was_trained_on(trained_site, lessons):
    past = Bundle.load(trained_site / "first.bundle").segmenters[0].description.past
    split = training_split(past, Lessons(lessons.site, lessons.parts, None, (PUBLIC,)))
    before: Split = past[0].split
    known = {name: KnownPictures([(before, before.keys(name))]) for name in ("train", "val", "test")}
    identities = identify_all([PUBLIC], ())
    for subset, keys in (("train", split.train), ("val", split.val), ("test", split.test)):
        public = [key for key in keys if key.startswith("phantom/")]
        assert public and all(known[subset].hold(key, identities[key]) for key in public)
    assert {key for key in split.train if key.startswith("site/")} == {
        f"site/{name}" for name, part in lessons.parts.items() if part == "train"
    }


@pytest.mark.parametrize("public", [(), (PUBLIC,)], ids=["own outlines", "public source"])
def test_a_challenger_has_other_weights_and_its_past(trained_site, lessons, tmp_path, public):
    champion = trained_site / "first.bundle"
    what = Lessons(lessons.site, lessons.parts, None if public else lessons.rehearsal, public)
    fine_tune(champion, tmp_path / "new.bundle", what, Budget(minutes=2, epochs=1), "cpu", tmp_path / "work")
    before, after = (Bundle.load(path).segmenters[0] for path in (champion, tmp_path / "new.bundle"))
    assert any(
        not torch.equal(one, other)
        for one, other in zip(before.network.parameters(), after.network.parameters(), strict=True)
    )
    assert after.description.earlier == before.description.past
    assert set(after.description.sources) == {"site", "phantom" if public else "rehearsal"}


def test_the_interval_is_measured_anew_on_eyes_that_taught_nothing(trained_site, lessons, tmp_path):
    champion, new = tmp_path / "first.bundle", tmp_path / "new.bundle"
    best = next(trained_site.rglob("best.ckpt"))
    model_bundle.save(champion, [best], None, Calibration(123.0, 0.5, 50, 4), conventions=Conventions({"anna": 0.5}))
    what = Lessons(lessons.site, lessons.parts, None, (PUBLIC,))
    fine_tune(champion, new, what, Budget(minutes=2, epochs=1), "cpu", tmp_path / "work")
    found = Bundle.load(new)
    assert found.calibration is not None and found.calibration.factor != 123.0
    assert 0 < found.calibration.count <= [*lessons.parts.values()].count("val")
    assert found.conventions is None


@pytest.mark.parametrize(("forgets", "share"), [(False, 1.0), (True, 0.25)])
def test_the_blend_is_of_both_weights(trained_site, lessons, tmp_path, monkeypatch, forgets, share):
    start = model_bundle.write_segmenters(trained_site / "first.bundle", tmp_path)[0]
    description, weights = checkpoint.load(start)
    other = tmp_path / "trained.ckpt"
    moved = {name: one + 1 if one.is_floating_point() else one for name, one in weights.items()}
    checkpoint.write({checkpoint.KEY: description.as_dict(), "state_dict": moved}, other)
    gains = iter([0.5, 0.9, 0.8, 0.7, 0.6])  # the champion's own, then of all of the trained weights, ...

    def scores(*_):
        better = next(gains)
        of = {"site": better, "phantom": 1 - forgets * better}
        cell = {"region": "disc", "metric": "dice", "n": 5, "undefined": 0}
        return [Score(source=source, value=value, **cell) for source, value in of.items()]

    monkeypatch.setattr(blending, "_scores", scores)
    data = SimpleNamespace(split=Split((), ("site/1",), ()))
    assert blending.blend(start, other, tmp_path / "blend.ckpt", data, "cpu") == share
    for name, one in checkpoint.load(tmp_path / "blend.ckpt")[1].items():
        if one.is_floating_point():
            assert torch.allclose(one, weights[name] + share)


@pytest.mark.parametrize("metric", ["dice", VCDR_ERROR])
def test_a_blend_that_finds_nothing_any_more_is_not_chosen(trained_site, tmp_path, monkeypatch, metric):
    """Its numbers are then defined in no picture."""
    start = model_bundle.write_segmenters(trained_site / "first.bundle", tmp_path)[0]
    counts = iter([5, 0, 0, 0, 5])

    def scores(*_):
        cell = {"region": "disc", "metric": metric, "undefined": 0, "n": next(counts)}
        return [Score(source=source, value=0.5, **cell) for source in ("site", "phantom")]

    monkeypatch.setattr(blending, "_scores", scores)
    data = SimpleNamespace(split=Split((), ("site/1",), ()))
    assert blending.blend(start, start, tmp_path / "blend.ckpt", data, "cpu") == 0.25


def test_a_killed_fine_tuning_goes_on_where_it_was(trained_site, lessons, tmp_path, monkeypatch):
    steps: list[int] = []
    step, blend = SegmentationTask.training_step, challengers.blend

    def watched(self, *arguments):
        steps.append(self.current_epoch)
        if len(steps) == killed:
            raise MemoryError
        return step(self, *arguments)

    def tune():
        what = Lessons(lessons.site, lessons.parts, None, ())
        budget = Budget(minutes=2, epochs=4)
        fine_tune(trained_site / "first.bundle", tmp_path / "new.bundle", what, budget, "cpu", tmp_path / "work")

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(SegmentationTask, "training_step", watched)
    monkeypatch.setattr(challengers, "blend", fail)
    killed = 10**6
    with pytest.raises(MemoryError):
        tune()
    whole = len(steps)
    assert whole % 4 == 0 and steps[-1] == 3
    monkeypatch.setattr(challengers, "blend", blend)
    tune()
    assert len(steps) == whole, "all was learnt before the blend was killed"
    shutil.rmtree(tmp_path / "work")
    steps.clear()
    killed = whole  # in the last epoch
    with pytest.raises(MemoryError):
        tune()
    steps.clear()
    tune()
    assert steps[0] > 0 and steps[-1] == 3


def test_a_second_round_goes_on_from_the_first(trained_site, lessons, tmp_path):
    first, second = tmp_path / "1.bundle", tmp_path / "2.bundle"
    for start, made, seed in ((trained_site / "first.bundle", first, 0), (first, second, 1)):
        budget = Budget(minutes=2, epochs=1, seed=seed)
        fine_tune(
            start, made, Lessons(lessons.site, lessons.parts, None, (PUBLIC,)), budget, "cpu", tmp_path / made.stem
        )
    assert len(Bundle.load(second).segmenters[0].description.splits) == 3


def test_the_champions_own_outlines_are_soft(lessons):
    found = lessons.rehearsal
    assert len(found) > 0 and found.source == "rehearsal"
    masks = [annotation.mask.sum() for annotation in found[0].of("disc")]
    assert len(masks) == 3
    cups = [annotation.mask.sum() for annotation in found[0].of("cup")]
    assert cups == sorted(cups, reverse=True) and cups[0] > cups[-1]


def test_the_budget_ends_a_training(trained_site, lessons, tmp_path: Path):
    what = Lessons(lessons.site, lessons.parts, None, ())
    budget = Budget(minutes=0.05, epochs=2000)
    fine_tune(trained_site / "first.bundle", tmp_path / "new.bundle", what, budget, "cpu", tmp_path / "work")
    assert (tmp_path / "new.bundle").is_file()
