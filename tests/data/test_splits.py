from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fundusseg.data.splits import Split, draw_split
from fundusseg.errors import ConfigurationError, DatasetError
from fundusseg.sample import Record


def record(source: str, number: int, patient: int, subset=None, diagnosis=None) -> Record:
    image = Path(f"{number}.png")
    return Record(source, f"{number:03}", image, str(patient), ("disc",), subset=subset, diagnosis=diagnosis)


cohorts = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 12)), min_size=1, max_size=60).map(
    lambda rows: [record(source, number, patient) for number, (source, patient) in enumerate(rows)]
)


@settings(max_examples=100, deadline=None)
@given(records=cohorts, seed=st.integers(0, 99), folds=st.sampled_from([None, 2, 5]))
def test_no_patient_is_shared_and_nobody_is_lost(records, seed, folds):
    split = draw_split(records, seed=seed, folds=folds)
    assert sorted((*split.train, *split.val, *split.test)) == sorted(r.key for r in records)
    where = {}
    for subset in ("train", "val", "test"):
        for r in split.select(records, subset):
            assert where.setdefault((r.source, r.patient), subset) == subset


def test_folds_test_everyone_exactly_once():
    records = [record("a", n, n // 2) for n in range(46)]
    tested = [key for fold in range(5) for key in draw_split(records, folds=5, fold=fold).test]
    assert sorted(tested) == sorted(r.key for r in records)


@pytest.mark.parametrize("options", [{"test": 0.2}, {"folds": 5}])
def test_each_diagnosis_has_its_share(options):
    records = [record("a", n, n, None, "glaucoma" if n < 20 else "healthy") for n in range(100)]
    for subset, glaucoma, healthy in (("test", 4, 16), ("val", 3, 13)):
        chosen = draw_split(records, val=0.2, **options).select(records, subset)
        assert abs(sum(r.diagnosis == "glaucoma" for r in chosen) - glaucoma) <= 1
        assert abs(sum(r.diagnosis == "healthy" for r in chosen) - healthy) <= 1


def test_leave_one_source_out():
    records = [record(source, n, n) for source in "abc" for n in range(10)]
    split = draw_split(records, val=0.2, test_sources=["b"])
    assert {key[0] for key in split.test} == {"b"} and len(split.test) == 10
    assert {key[0] for key in (*split.train, *split.val)} == {"a", "c"} and len(split.val) == 4
    with pytest.raises(ConfigurationError, match=r"test_sources \['z'\]"):
        draw_split(records, test_sources=["z"])
    with pytest.raises(ConfigurationError, match="both folds and test_sources"):
        draw_split(records, test_sources=["b"], folds=3)


def test_changed_files_are_refused():
    split = Split(("a/1",), ("a/2",), ("a/3",), files={"a/1": "x", "a/2": "y", "a/3": "z"})
    split.check_files({"a/1": "x", "a/2": "y", "a/3": "z"})
    with pytest.raises(DatasetError, match=r"1 pictures whose files changed .* such as a/2"):
        split.check_files({"a/1": "x", "a/2": "changed", "a/3": "z"})


def test_another_dataset_moves_nobody():
    mine = [record("a", n, n) for n in range(40)]
    alone = draw_split(mine, seed=3)
    merged = draw_split([*mine, *(record("b", n, n) for n in range(99))], seed=3)
    assert set(alone.test) == {key for key in merged.test if key.startswith("a/")}
    assert set(alone.val) == {key for key in merged.val if key.startswith("a/")}


def test_publishers_test_set_stays_the_test_set():
    records = [record("a", n, n, "test" if n < 10 else "train") for n in range(40)]
    split = draw_split(records, val=0.2)
    assert set(split.test) == {r.key for r in records[:10]}
    assert len(split.val) == 6 and len(split.train) == 24


def test_publishers_division_that_shares_a_patient_is_refused():
    with pytest.raises(DatasetError, match="patient 7 of a in both train and test"):
        draw_split([record("a", 0, 7, "test"), record("a", 1, 7, "train")], val=0)


def test_a_split_by_image_is_one_of_images_and_says_so(tmp_path):
    records = [record("a", n, n // 2) for n in range(100)]
    split = draw_split(records, by="image")
    subsets = [split.select(records, subset) for subset in ("train", "val", "test")]
    assert sorted(r.key for part in subsets for r in part) == sorted(r.key for r in records)
    patients = [{r.patient for r in part} for part in subsets]
    assert patients[0] & patients[1] and patients[0] & patients[2]
    assert split.patients["a/003"] == "a/1", "who the patients are is still known"
    assert "images of one patient may be on both sides" in split.protocol
    assert draw_split(records).protocol == "split by patient"
    split.save(tmp_path / "split.json")
    loaded = Split.load(tmp_path / "split.json")
    assert loaded == split
    loaded.check(records)
    with pytest.raises(DatasetError, match=r"patient \d+ of a in both"):
        replace(loaded, by="patient").check(records)
    first = loaded.train[0]
    with pytest.raises(DatasetError, match=rf"image {first[2:]} of a in both train and test"):
        replace(loaded, test=(*loaded.test, first)).check(records)


def test_splits_by_image_take_folds_and_publishers_sets():
    records = [record("a", n, n // 4) for n in range(40)]
    tested = [key for fold in range(4) for key in draw_split(records, folds=4, fold=fold, by="image").test]
    assert sorted(tested) == sorted(r.key for r in records)
    given = [record("a", n, 0, "test" if n < 3 else "train") for n in range(20)]
    assert set(draw_split(given, by="image").test) == {"a/000", "a/001", "a/002"}


def test_a_split_that_does_not_say_its_unit_is_by_patient(tmp_path):
    old = draw_split([record("a", n, n) for n in range(10)]).as_dict()
    del old["by"]
    assert Split.from_dict(old).by == "patient"
    with pytest.raises(ConfigurationError, match=r"by 'eye'; expected one by patient or image"):
        Split.from_dict({**old, "by": "eye"})
    with pytest.raises(ConfigurationError, match="by 'eye'"):
        draw_split([record("a", 0, 0)], by="eye")


def test_the_digest_changes_with_what_the_split_says():
    records = [record("a", n, n) for n in range(10)]
    split = draw_split(records)
    assert split.digest == Split.from_dict(split.as_dict()).digest and len(split.digest) == 64
    changed = [draw_split(records, seed=1), replace(split, by="image"), replace(split, files={"a/000": "x"})]
    assert len({split.digest, *(other.digest for other in changed)}) == 4


def test_shares_are_kept_and_depend_on_the_seed():
    records = [record("a", n, n) for n in range(100)]
    split = draw_split(records, val=0.25, test=0.2, seed=1)
    assert (len(split.test), len(split.val), len(split.train)) == (20, 20, 60)
    assert split != draw_split(records, val=0.25, test=0.2, seed=2)
    assert split == draw_split(records, val=0.25, test=0.2, seed=1)


def test_saved_and_loaded_the_same(tmp_path):
    records = [record("a", n, n) for n in range(10)]
    split = draw_split(records)
    split.save(tmp_path / "split.json")
    loaded = Split.load(tmp_path / "split.json")
    assert loaded == split
    loaded.check(records)


def test_split_of_other_data_is_refused(tmp_path):
    records = [record("a", n, n) for n in range(10)]
    split = draw_split(records)
    with pytest.raises(DatasetError, match=r"1 pictures not in the datasets, such as a/009"):
        split.check(records[:9])
    with pytest.raises(DatasetError, match=r"1 pictures not in the split, such as a/777"):
        split.check([*records, record("a", 777, 777)])
    (tmp_path / "bad.json").write_text("{]")
    with pytest.raises(ConfigurationError, match=r"bad\.json"):
        Split.load(tmp_path / "bad.json")
    (tmp_path / "other.json").write_text("[1]")
    with pytest.raises(ConfigurationError, match="train, val and test"):
        Split.load(tmp_path / "other.json")


def test_a_damaged_perceptual_hash_is_refused():
    content = draw_split([record("a", n, n) for n in range(3)]).as_dict()
    for known in ("0123456789abcdef" * 4, ""):
        assert Split.from_dict({**content, "perceptual_hashes": {"a/001": known}}).perceptual_hashes["a/001"] == known
    for broken in ("5", "x" * 64, "0" * 48, "0" * 128, "0 " * 32):
        with pytest.raises(ConfigurationError, match=rf"perceptual hash of a/001 is '{broken}'; expected 64 hex"):
            Split.from_dict({**content, "perceptual_hashes": {"a/001": broken}})


def test_publishers_validation_set_stays_even_without_a_test_set():
    records = [record("a", n, n, "val" if n < 10 else "train") for n in range(40)]
    split = draw_split(records, test=0.2)
    assert set(split.val) == {r.key for r in records[:10]}
    assert len(split.test) == 6 and not set(split.test) & set(split.val)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val": 1.0}, "val_share"),
        ({"test": -0.1}, "test_share"),
        ({"folds": 1}, "folds"),
        ({"folds": 3, "fold": 3}, "fold 3"),
    ],
)
def test_shares_and_folds_out_of_range(options, message):
    with pytest.raises(ConfigurationError, match=message):
        draw_split([record("a", 0, 0)], **options)


def test_a_picture_without_any_digest_keeps_its_name_and_patient():
    split = Split(("a/1", "a/2"), (), (), (), {"a/1": "a/p", "a/2": "a/p"}, {"a/1": "0" * 64})
    shared = split.anonymous()
    assert shared.train == ("a/" + "0" * 64, "a/2") and set(shared.patients.values()) == {"a/p"}
    assert shared.anonymous() == shared
