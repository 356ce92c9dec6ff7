"""Who is scored, who is refused, and what is said of the rest."""

from dataclasses import replace
from pathlib import Path

import pytest

from fundusseg.data.identity import files_digest
from fundusseg.data.seen_patients import SeenPatients
from fundusseg.data.splits import Split, draw_split
from fundusseg.datasets import Folder, Phantom, Refuge, RimOneDL
from fundusseg.errors import CheckpointError, ConfigurationError, DatasetError
from fundusseg.evaluation.cohort import select_cohort
from tests.miniatures import folder, refuge, rim_one_dl

ONE, TWO = Phantom(count=12, size=32, name="one"), Phantom(count=4, size=32, seed=1, name="two")


@pytest.fixture
def split() -> Split:
    return draw_split(ONE.records)


def keys(cases) -> list[str]:
    return [case.record.key for case in cases]


def test_of_its_own_data_the_new_patients_are_taken_in_order(split):
    found = select_cohort([ONE], SeenPatients([split]), own=split)
    assert keys(found) == sorted(split.test) and {case.seen for case in found} == {"source"}
    later = select_cohort([Phantom(count=15, size=32, name="one")], SeenPatients([split]), own=split)
    assert set(keys(later)) == {*split.test, "one/00012", "one/00013", "one/00014"}


def test_every_picture_of_a_known_patient_is_left_out(split):
    fellows = Phantom(count=12, size=32, name="one")
    records = [replace(record, name=f"1{record.name}", patient=record.name) for record in ONE.records]
    fellows.__dict__["records"] = tuple(records)
    tested = {key.removeprefix("one/") for key in split.test}
    assert {case.record.patient for case in select_cohort([fellows], SeenPatients([split]), own=split)} == tested


def test_another_source_is_new(split):
    assert [case.seen for case in select_cohort([TWO], SeenPatients([split]))] == ["no"] * 4


def test_known_patients_are_refused_in_one_sentence_and_forced_with_a_mark(split):
    with pytest.raises(DatasetError, match=r"^got 10 of 12 pictures.*--allow_seen") as caught:
        select_cohort([ONE], SeenPatients([split]))
    assert "\n" not in str(caught.value)
    forced = {case.record.key: case.seen for case in select_cohort([ONE], SeenPatients([split]), allow_seen=True)}
    assert forced == {key: "source" if key in split.test else "patient" for key in forced} and len(forced) == 12


def test_every_network_counts_the_localiser_too(split):
    other = Split(("one/00000",), (split.test[0],), (), patients=split.patients)
    found = select_cohort([ONE], SeenPatients([split, other]), own=split)
    assert keys(found) == sorted(split.test)[1:]
    with pytest.raises(DatasetError, match="never seen"):
        select_cohort([ONE], SeenPatients([split, Split(split.test, (), ())]), own=split)


def test_what_a_split_left_out_as_a_duplicate_is_known(split):
    shown_twice = split.without(split.test[:1])
    assert set(keys(select_cohort([ONE], SeenPatients([shown_twice]), own=shown_twice))) == set(split.test[1:])


def test_a_file_is_known_under_another_name(tmp_path):
    folder.build(tmp_path)
    mine, renamed = Folder(tmp_path, name="mine"), Folder(tmp_path, name="renamed")
    files = {record.key: files_digest(record) for record in mine.records}
    split = Split(tuple(files)[:1], (), tuple(files)[1:], files=files)
    with pytest.raises(DatasetError, match=r"1 of 3 pictures, such as renamed/a_left"):
        select_cohort([renamed], SeenPatients([split]))
    assert [case.seen for case in select_cohort([renamed], SeenPatients([split]), allow_seen=True)] == [
        "patient",
        "no",
        "no",
    ]


def test_a_picture_that_is_there_twice_is_refused(tmp_path):
    folder.build(tmp_path)
    with pytest.raises(DatasetError, match="3 pictures that stand in two sources, such as one/a_left = two/a_left"):
        select_cohort([Folder(tmp_path, name="one"), Folder(tmp_path, name="two")], SeenPatients([]))


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file here that is there and cannot be read")
def test_a_file_that_cannot_be_read_stops_no_other(tmp_path, split):
    folder.build(tmp_path / "mine")
    broken = tmp_path / "mine" / "images" / "a_left.jpg"
    broken.unlink()
    broken.symlink_to("/proc/self/mem")
    found = select_cohort([Folder(tmp_path / "mine", name="mine"), TWO], SeenPatients([split]))
    assert keys(found)[0] == "mine/a_left" and len(found) == 7


@pytest.mark.slow
def test_a_given_split_says_who_is_tested(split):
    given = replace(draw_split([*ONE.records, *TWO.records], seed=3), files={})
    found = select_cohort([TWO], SeenPatients([split]), given=given)
    assert keys(found) == [key for key in given.test if key.startswith("two/")]
    with pytest.raises(DatasetError, match="trained or chosen on"):
        select_cohort([ONE], SeenPatients([split]), given=Split((), (), split.train))
    with pytest.raises(DatasetError, match=r"not in the datasets, such as one/99"):
        select_cohort([ONE], SeenPatients([split]), given=Split((), (), ("one/99",)))
    with pytest.raises(DatasetError, match="tests no picture of two"):
        select_cohort([TWO], SeenPatients([split]), given=split)
    with pytest.raises(DatasetError, match="files changed"):
        select_cohort([TWO], SeenPatients([split]), given=replace(given, files=dict.fromkeys(given.test, "other")))


def test_a_split_by_image_tests_what_it_says_and_the_shared_patient_is_marked():
    patients = {record.key: f"one/p{number // 2}" for number, record in enumerate(ONE.records)}
    listed = list(patients)
    split = Split(tuple(listed[:9]), (), tuple(listed[9:]), patients=patients, by="image")
    two_eyes = Phantom(count=12, size=32, name="one")
    two_eyes.__dict__["records"] = tuple(
        replace(record, patient=patients[record.key].split("/")[1]) for record in ONE.records
    )
    found = select_cohort([two_eyes], SeenPatients([split]), own=split)
    assert keys(found) == listed[9:] and [case.seen for case in found] == ["patient", "source", "source"]
    given = select_cohort([two_eyes], SeenPatients([split]), given=split)
    assert keys(given) == listed[9:]
    with pytest.raises(DatasetError, match="trained or chosen on"):
        select_cohort([two_eyes], SeenPatients([replace(split, by="patient")]), given=split)


def test_a_network_that_does_not_say(split):
    with pytest.raises(CheckpointError, match="does not say whom it was trained on"):
        select_cohort([TWO], SeenPatients([split, None]))
    found = select_cohort([TWO], SeenPatients([split, None]), allow_seen=True)
    assert {case.seen for case in found} == {"unknown"}


def test_two_datasets_of_one_source_are_refused():
    with pytest.raises(ConfigurationError, match="two datasets of source 'one'"):
        select_cohort([ONE, ONE], SeenPatients([]))


def test_a_set_that_shows_the_trained_eyes_again_is_refused_or_marked(tmp_path):
    """RIM-ONE DL holds crops of r3: neither names nor pixels tell; REFUGE is compiled into SMDG."""
    rim_one_dl.build(tmp_path)
    seen = SeenPatients([Split(("rim_one_r3/N-1-L",), ("rim_one_r3/N-2-R",), ())])
    with pytest.raises(DatasetError, match="rim_one_dl, which shows some of the same eyes as rim_one_r3"):
        select_cohort([RimOneDL(tmp_path)], seen)
    forced = select_cohort([RimOneDL(tmp_path)], seen, allow_seen=True)
    assert {case.seen for case in forced} == {"unknown"}
    refuge.build(tmp_path / "refuge")
    seen = SeenPatients([Split(("smdg/REFUGE1-train-1",), ("smdg/REFUGE1-train-2",), ())])
    with pytest.raises(DatasetError, match="refuge, which shows some of the same eyes as smdg"):
        select_cohort([Refuge(tmp_path / "refuge")], seen)
