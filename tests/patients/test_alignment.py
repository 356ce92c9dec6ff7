"""Two photographs of one eye laid over each other: how far off, and told where the vessels do not say."""

import json

import numpy as np
import pytest

from fundusseg.errors import ImageError
from fundusseg.imaging.image_files import encode_png, write_png
from fundusseg.inference.result_paths import contours_path, label_map_path
from fundusseg.inference.run_journal import JournalEntry
from fundusseg.measures.contours import as_json, contours
from fundusseg.measures.rim import clock_hours, rim_profile
from fundusseg.patients.alignment import Disc, align, into_crop
from fundusseg.patients.eyes import group_patients
from fundusseg.patients.identity import Identities, Identity
from fundusseg.patients.run_files import RunFiles
from fundusseg.patients.views import PICTURE, eye_views, turned_hours
from tests.support.visits import fundus, motion, moved


@pytest.mark.parametrize(
    ("turn", "scale", "right", "down"), [(0, 1, 0, 0), (5, 1.05, 20, -14), (-8, 0.93, -25, 10), (3, 1, 0, 30)]
)
def test_a_photograph_lies_where_it_was_moved_from(turn, scale, right, down):
    image, labels = fundus()
    matrix = motion(turn, scale, right, down)
    after, labels_after = moved(image, matrix), moved(labels, matrix)
    disc = Disc.of(labels_after)
    found = align(image, Disc.of(labels), after, disc)
    assert found.marks >= 10 and "vessels" in found.how
    ring = np.array([[disc.x, disc.y, 1], [disc.x + disc.diameter, disc.y, 1], [disc.x, disc.y - disc.diameter, 1]]).T
    apart = (found.matrix @ ring - np.linalg.inv(matrix) @ ring)[:2]
    assert np.abs(apart).max() < 0.03 * disc.diameter
    assert found.turn == pytest.approx(turn, abs=1.0)


def test_without_vessels_the_outline_alone_is_told():
    image, labels = fundus()
    plain = np.full_like(image, 120)
    found = align(image, Disc.of(labels), plain, Disc.of(labels))
    assert found.marks == 0 and "outline alone" in found.how and found.turn == 0
    assert found.matrix == pytest.approx(np.eye(3), abs=1e-9)


def test_another_eye_is_not_laid_over_this_one_by_its_vessels():
    (image, labels), (other, other_labels) = fundus(0), fundus(1)
    assert align(image, Disc.of(labels), other, Disc.of(other_labels)).marks == 0


def test_a_map_without_a_disc_is_refused():
    with pytest.raises(ImageError, match="without a disc"):
        Disc.of(np.zeros((9, 9), np.uint8))


def test_a_crop_has_its_pixel_centres():
    box = Disc.of(fundus()[1]).square()
    corners = np.array(
        [[box.left - 0.5, box.top - 0.5, 1], [box.left + box.width - 0.5, box.top + box.height - 0.5, 1]]
    ).T
    inside = (into_crop(box, 480) @ corners)[:2].T
    assert inside.ravel().tolist() == pytest.approx([-0.5, -0.5, 479.5, 479.5])


@pytest.mark.parametrize("eye", ["OD", "OS"])
def test_a_turned_photograph_has_the_hours_of_the_one_it_is_laid_over(eye):
    """A notch at 45 degrees, photographed with the head tilted by 30 degrees: one clock hour."""
    rows, columns = np.mgrid[:301, :301] - 150
    disc, cup = np.hypot(rows, columns) <= 120, np.hypot(rows + 25, columns - 25) <= 60
    labels = disc.astype(np.uint8) + cup
    turned = moved(labels, motion(-30, 1, 0, 0, 300))  # OpenCV's positive turn is counter-clockwise
    before = np.roll(clock_hours(rim_profile(labels, eye).share), -1)
    assert np.abs(np.roll(clock_hours(rim_profile(turned, eye).share), -1) - before).max() > 0.03
    # To lie on the first one it is turned back: -30 degrees clockwise as it is seen.
    assert turned_hours(turned, eye, -30.0) == pytest.approx(before, abs=0.01)


def test_visits_are_shown_as_they_lie_on_the_first(tmp_path):
    image, labels = fundus()
    matrix = motion(6, 1.04, 15, -9)
    pictures = {
        "first": (image, labels),
        "second": (moved(image, matrix), moved(labels, matrix)),
        "gone": (image, labels),
    }
    entries, identities = [], {}
    for number, (name, (picture, codes)) in enumerate(pictures.items()):
        write_png(tmp_path / f"{name}.png", picture)
        label_map_path(tmp_path, name).write_bytes(encode_png(codes))
        contours_path(tmp_path, name).write_text(json.dumps({"contours": as_json(contours(codes))}))
        row = {"file": name, "error": "", "eye": "OD", "vertical_cdr": 0.5}
        entries.append(JournalEntry(name, str(tmp_path / f"{name}.png"), 0, 0, "", row))
        identities[name] = Identity("1", "OD", f"202{number}-01-01")
    (tmp_path / "gone.png").unlink()
    (patient,), _ = group_patients(entries, Identities([], identities))
    first, second, gone = eye_views(patient.eyes["OD"], RunFiles(tmp_path))
    assert first.alignment is None and second.alignment.marks >= 10
    assert second.hours == pytest.approx(first.hours, abs=0.02)
    assert np.abs(second.outlines["disc"].mean(axis=0) - first.outlines["disc"].mean(axis=0)).max() < 0.02 * PICTURE
    assert first.picture[:2] == second.picture[:2] == b"\xff\xd8" and not gone.picture
    assert "gone: not laid over the others" in gone.problem and gone.hours == pytest.approx(first.hours, abs=0.02)
