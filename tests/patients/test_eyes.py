"""Photographs put together: visits, the best of each, both eyes, and a sentence for what does not fit."""

import json
import math
from datetime import date

import pytest

from fundusseg.inference.result_paths import contours_path
from fundusseg.inference.run_journal import JournalEntry
from fundusseg.measures.repeatability import Repeatability
from fundusseg.patients.asymmetry import asymmetry
from fundusseg.patients.change import eye_change
from fundusseg.patients.columns import EYES, PATIENTS, VISITS
from fundusseg.patients.eyes import group_patients
from fundusseg.patients.identity import Identities, Identity
from fundusseg.patients.run_files import RunFiles
from fundusseg.patients.tables import Judged, table_rows

KNOWN = Repeatability({**Repeatability().within_eye, "vertical_cdr": 0.02})


def entry(name, eye="OD", ratio=0.5, **row):
    measured = {} if ratio is None else {"vertical_cdr": ratio, "disc_area": 9000.0, "disc_height": 110.0}
    measured |= {} if ratio is None else {"rim_min_ratio": 0.2, "rim_absent": 0.0}
    return JournalEntry(name, name, 0, 0, "", {"file": name, "error": "", "eye": eye, **measured, **row})


def grouped(*said):
    """Of (entry, patient, date)."""
    identities = {one.name: Identity(patient, "", day) for one, patient, day in said}
    return group_patients([one for one, _, _ in said], Identities([], identities))


def judged(*said):
    patients, unassigned = grouped(*said)
    found = [
        Judged(one, asymmetry(one, KNOWN), {eye: eye_change(own, (), KNOWN) for eye, own in one.eyes.items()})
        for one in patients
    ]
    return table_rows(found, {"fundusseg_version": "1", "checkpoint_sha256": "ab"}), unassigned


def test_the_best_of_a_visit_counts_and_all_are_kept():
    first = [
        (entry("a", verdict="review", failure_risk=0.1), "1", "2020-01-01"),
        (entry("b", verdict="accept", failure_risk=0.4), "1", "2020-01-01"),
        (entry("c", verdict="accept", failure_risk=0.2), "1", "2020-01-01"),
        (entry("d", ratio=None, verdict="reject", reasons="blurred"), "1", "2020-01-01"),
    ]
    (patient,), _ = grouped((entry("later"), "1", "2021-01-01"), *first)
    visits = patient.eyes["OD"].visits
    assert [visit.day for visit in visits] == [date(2020, 1, 1), date(2021, 1, 1)]
    assert [one.entry.name for one in visits[0].photographs] == ["c", "b", "a", "d"]
    rows, _ = judged((entry("later"), "1", "2021-01-01"), *first)
    assert rows["visits"][0]["others"] == "b; a; d" and rows["eyes"][0]["photographs"] == 5
    assert "d: not measured (blurred)" in rows["visits"][0]["remarks"]


def test_between_two_visits_what_is_below_the_smallest_change_is_none():
    limit = KNOWN.smallest_change("vertical_cdr")
    for share, changed in ((0.98, False), (1.02, True)):
        later = entry("b", ratio=0.5 + share * limit)
        (patient,), _ = grouped((entry("a"), "1", "2020-01-01"), (later, "1", "2021-01-01"))
        ratio = eye_change(patient.eyes["OD"], (), KNOWN).ratio
        assert ratio is not None and ratio.changed == changed


def test_every_row_has_every_column_in_its_order():
    rows, _ = judged((entry("r"), "1", ""), (entry("l", "OS", 0.8), "1", ""), (entry("x", ratio=None), "2", ""))
    for name, columns in (("eyes", EYES), ("visits", VISITS), ("patients", PATIENTS)):
        assert rows[name] and all([*row] == [column.name for column in columns] for row in rows[name])
    assert [row["record_id"] for row in rows["eyes"]] == ["1_OD", "1_OS", "2_OD"]


@pytest.mark.parametrize(
    ("right", "left", "convention"),
    [(0.8, 0.5, "reached"), (0.5, 0.8, "reached"), (0.5, 0.52, "not_reached"), (0.7, 0.5, "uncertain")],
)
def test_asymmetry_is_right_less_left_with_its_interval(right, left, convention):
    rows, _ = judged((entry("r", "OD", right), "1", "2020-01-01"), (entry("l", "OS", left), "1", "2020-01-01"))
    (row,) = rows["patients"]
    half = 2.15 * 2**0.5 * 0.02
    assert row["vertical_cdr_asymmetry"] == pytest.approx(right - left)
    assert row["vertical_cdr_asymmetry_high"] - row["vertical_cdr_asymmetry"] == pytest.approx(half, abs=1e-4)
    assert row["asymmetry_convention"] == convention
    assert row["disc_area_ratio"] == pytest.approx(1)


def test_eyes_are_compared_on_their_last_common_day():
    said = [(entry("r1", "OD", 0.5), "1", "2020-01-01"), (entry("l1", "OS", 0.4), "1", "2020-01-01")]
    rows, _ = judged(*said, (entry("r2", "OD", 0.7), "1", "2021-01-01"))
    assert rows["patients"][0]["vertical_cdr_asymmetry"] == pytest.approx(0.1)
    rows, _ = judged(said[0], (entry("l2", "OS", 0.7), "1", "2020-01-11"))
    assert rows["patients"][0]["days_apart"] == 10 and "10 days apart" in rows["patients"][0]["asymmetry_said"]


def test_photographs_of_unknown_dates_do_not_stand_before_those_of_a_common_day():
    said = [(entry("r", "OD", 0.5), "1", "2020-01-01"), (entry("l", "OS", 0.4), "1", "2020-01-01")]
    rows, _ = judged(*said, (entry("r?", "OD", 0.9), "1", ""), (entry("l?", "OS", 0.1), "1", ""))
    assert rows["patients"][0]["vertical_cdr_asymmetry"] == pytest.approx(0.1)
    assert rows["patients"][0]["date_right"] == "2020-01-01"


def test_discs_in_pixels_of_photographs_of_two_sizes_are_not_compared(tmp_path):
    def ratio(width: int, **scale: float) -> float:
        both = [(entry("r", "OD", **scale), "1", ""), (entry("l", "OS", **scale), "1", "")]
        for name, own in (("r", 2000), ("l", width)):
            contours_path(tmp_path, name).write_text(json.dumps({"width": own, "height": 1500}))
        (patient,), _ = grouped(*both)
        return asymmetry(patient, KNOWN, RunFiles(tmp_path)).disc_area_ratio[0]

    assert ratio(2000) == pytest.approx(1) and math.isnan(ratio(1000))
    assert ratio(1000, nominal_mm_per_pixel=0.01) == pytest.approx(1)


def test_two_patients_for_a_file_are_none_and_a_folders_name_is_no_contradiction():
    identities = {
        "a": Identity(remarks=("a: 2 patients, 1 and 2",), contradicted=("patient",)),
        "b": Identity(remarks=("my patients, 2024/b: not in the table",)),
    }
    entries = [entry(name, patient="tagged", date="soon") for name in identities]
    (patient,), unassigned = group_patients(entries, Identities([], identities))
    assert patient.name == "tagged" and patient.eyes["OD"].visits[0].best.entry.name == "b"
    assert len(unassigned) == 1 and unassigned[0].startswith("a: 2 patients") and "no patient" in unassigned[0]


def test_what_is_missing_or_contradicts_itself_is_one_sentence_and_nothing_is_lost():
    said = [
        (entry("one"), "only right", "2020-01-01"),
        (entry("two"), "bad date", "soon"),
        (entry("three", eye=""), "no eye", ""),
        (entry("four", eye="", ratio=None, error="got a cat"), "broken", ""),
        (entry("five"), "", "2020-01-01"),
        (entry("six", patient="DICOM's"), "table's", ""),
        (entry("seven", "OD", eye_seen="OS"), "swapped", "2020-01-01"),
        (entry("eight", "OS", eye_seen="OD"), "swapped", "2020-01-01"),
        (entry("nine", patient="tagged", date="2020-02-02"), "", ""),
    ]
    rows, unassigned = judged(*said)
    remarks = {row["patient"]: row["remarks"] for row in rows["patients"]}
    eyes = {row["patient"]: row["remarks"] for row in rows["eyes"]}
    assert remarks["only right"] == "no photograph of the left eye"
    assert "two: the date 'soon' cannot be read (expected 2024-05-31" in eyes["bad date"]
    assert "three: the eye is not known" in remarks["no eye"]
    assert "four: got a cat" in remarks["broken"]
    assert unassigned == ["five: no patient is known"]
    assert "of patient table's as given, but DICOM's by the DICOM file" in eyes["table's"]
    assert "right and left seem swapped on 2020-01-01" in remarks["swapped"]
    assert "seven: said to be the right eye, but the picture shows the left one" in remarks["swapped"]
    assert "tagged" in remarks
    kept = {row["file"] for row in rows["visits"]}
    assert kept == {"one", "two", "six", "seven", "eight", "nine"}


def test_a_change_is_told_in_one_sentence_and_so_is_none():
    def sentence(*ratios):
        rows, _ = judged(*((entry(f"v{n}", ratio=r), "1", f"{2015 + n}-06-01") for n, r in enumerate(ratios)))
        return rows["eyes"][0]["change_said"], rows["eyes"][0]["changed"]

    said, changed = sentence(0.5, 0.55, 0.6, 0.66, 0.7)
    assert changed == 1 and said.startswith("the vertical ratio rose beyond measurement error: +0.2")
    assert "in 4.0 years, 5 visits" in said
    said, changed = sentence(0.5, 0.51, 0.49, 0.5)
    assert changed == 0 and said.startswith("no change of the vertical ratio beyond measurement error: ")
    said, changed = sentence(0.5)
    assert changed == "" and "one visit only" in said


def test_sizes_are_given_where_the_scale_is_known_and_say_where_it_is_from():
    rows, _ = judged(
        (entry("n", nominal_mm_per_pixel=0.02), "nominal", ""),
        (entry("g", disc_area_mm2=9000 * 0.01**2), "given", ""),
        (entry("u", nominal_mm_per_pixel=""), "unknown", ""),
    )
    nominal, given, unknown = rows["eyes"]
    assert nominal["scale"] == "nominal" and nominal["disc_height_mm"] == 2.2 and nominal["disc_size"] == "large"
    assert nominal["disc_area_mm2"] == pytest.approx(3.6) and nominal["ddls_stage"] == 2
    assert given["scale"] == "given" and given["disc_height_mm"] == pytest.approx(1.1) and given["ddls_stage"] == 4
    assert given["disc_area_class"] == "microdisc"
    assert {unknown[name] for name in ("scale", "disc_area_mm2", "disc_size", "ddls_stage")} == {""}
