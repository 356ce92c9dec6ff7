"""A run that goes on keeps its split, and nothing that a network has seen becomes a test."""

from dataclasses import replace

import pytest

from fundusseg.data.earlier_training import EarlierTraining
from fundusseg.data.identity import identify
from fundusseg.data.splits import SUBSETS, Split, draw_split
from fundusseg.datasets import Phantom
from fundusseg.errors import DatasetError
from fundusseg.sample import Record

DATASET = Phantom(count=30, size=64)
IDENTITIES = {record.key: identify(record, DATASET.load(record).image) for record in DATASET.records}
RECORDS = DATASET.records[:24]
DRAWN = draw_split(RECORDS).identified(IDENTITIES)
SHARED = DRAWN.anonymous()


def renamed(records: tuple[Record, ...], source: str = "mine") -> list[Record]:
    return [replace(record, source=source, name=f"n{record.name}", patient=f"p{record.name}") for record in records]


def identities(records: list[Record]) -> dict:
    return {record.key: IDENTITIES[f"phantom/{record.name.removeprefix('n')}"] for record in records}


def same(one: Split, two: Split) -> bool:
    return all(one.keys(subset) == two.keys(subset) for subset in SUBSETS)


def test_a_shared_split_holds_no_name_and_says_the_same():
    named = Split(("clinic/smith_l", "clinic/smith_r"), ("clinic/jones",), ("clinic/wu",))
    named = replace(named, patients={"clinic/smith_l": "clinic/4711", "clinic/smith_r": "clinic/4711"})
    traces = dict(zip(sorted(named.listed), list(IDENTITIES.values())[:4], strict=True))
    shared = named.identified(traces).anonymous()
    text = str(shared.as_dict())
    assert not any(word in text for word in ("smith", "jones", "wu", "4711"))
    assert len(set(shared.patients.values())) == 3 and len({shared.patients[key] for key in shared.train}) == 1
    assert Split.from_dict(shared.as_dict()) == shared == shared.anonymous()
    assert shared.digest == named.identified(traces).digest != DRAWN.digest


def test_the_checkpoints_split_is_found_again_by_pictures():
    for records in (list(RECORDS), renamed(RECORDS)):
        drawn = draw_split(records, seed=5)
        kept = EarlierTraining(SHARED).apply(drawn, records, identities(records))
        assert [key.rpartition("/")[2].removeprefix("n") for key in kept.train] == [
            key.rpartition("/")[2] for key in DRAWN.train
        ], "in its own order, which the draws go by"
        assert kept.identified(identities(records)).anonymous().digest != draw_split(records, seed=5).digest


def test_old_checkpoints_are_found_by_names():
    old = Split.from_dict({**DRAWN.as_dict(), "pixels": {}, "perceptual_hashes": {}})
    kept = EarlierTraining(old).apply(draw_split(RECORDS, seed=5), RECORDS, IDENTITIES)
    assert same(kept, DRAWN)


def test_another_split_that_tests_what_was_trained_on_is_refused_by_name():
    with pytest.raises(DatasetError, match=r"pictures (validated|tested) on, though .* such as phantom/\d"):
        EarlierTraining(SHARED, keep=False).apply(draw_split(RECORDS, seed=5), RECORDS, IDENTITIES)
    moved = replace(DRAWN, train=DRAWN.train + DRAWN.test[1:], test=DRAWN.test[:1])
    assert EarlierTraining(SHARED, keep=False).apply(moved, RECORDS, IDENTITIES) == moved
    chosen = replace(DRAWN, val=DRAWN.val[1:], test=(*DRAWN.test, DRAWN.val[0]))
    with pytest.raises(DatasetError, match="1 pictures tested on, though the checkpoint was trained or chosen on them"):
        EarlierTraining(SHARED, keep=False).apply(chosen, RECORDS, IDENTITIES)


def test_the_other_eye_of_a_trained_patient_is_no_test():
    known = DRAWN.train[0]
    records = [replace(r, patient="both") if r.key in (known, DRAWN.test[0]) else r for r in RECORDS]
    with pytest.raises(DatasetError, match=f"1 pictures tested on.*{DRAWN.test[0]}"):
        EarlierTraining(SHARED, keep=False).apply(DRAWN, records, IDENTITIES)


def test_a_grown_folder_adds_to_the_split_and_moves_nobody():
    records = [replace(r, patient="00000") if r.name == "00024" else r for r in DATASET.records]
    drawn = draw_split(records, seed=5)
    kept = EarlierTraining(SHARED).apply(drawn, records, IDENTITIES)
    home = next(subset for subset in SUBSETS if "phantom/00000" in DRAWN.keys(subset))
    for subset in SUBSETS:
        assert set(DRAWN.keys(subset)) <= set(kept.keys(subset))
        new = set(kept.keys(subset)) - set(DRAWN.keys(subset)) - {"phantom/00024"}
        assert new <= set(drawn.keys(subset)), "new patients where they are drawn"
    assert "phantom/00024" in kept.keys(home), "a new picture of a known patient beside the others"
    assert len(kept.listed) == 30


def test_a_continued_run_needs_its_pictures_and_a_new_one_does_not():
    fewer = RECORDS[:20]
    with pytest.raises(DatasetError, match="4 of 24 pictures of the continued run that are not in the datasets"):
        EarlierTraining(SHARED).apply(draw_split(fewer), fewer, IDENTITIES)
    others = DATASET.records[24:]
    drawn = draw_split(others)
    assert EarlierTraining(SHARED, keep=False, complete=False).apply(drawn, others, IDENTITIES) == drawn


def test_the_trainings_before_count_too():
    others = renamed(RECORDS)
    fine_tuned = EarlierTraining(Split((), (), ()), (SHARED,), keep=False, complete=False)
    with pytest.raises(DatasetError, match="such as mine/n"):
        fine_tuned.apply(draw_split(others, seed=5), others, identities(others))
