import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from fundusseg import datasets
from fundusseg.data.plausibility import Doubt, find_doubts, large_parts, summary
from fundusseg.data.preparation import Preparation
from fundusseg.data.store import PreparedStore
from fundusseg.datasets import Phantom
from fundusseg.errors import DatasetError, ImplausibleMaskError
from fundusseg.sample import CUP, DISC, Annotation, Sample


@pytest.fixture(scope="module")
def eye() -> Sample:
    """An eye of a vertical ratio of about a half."""
    dataset = Phantom(count=20, size=256)
    return min(dataset, key=lambda one: abs(one.of(CUP)[0].mask.sum() / one.of(DISC)[0].mask.sum() - 0.25))


def masks(eye: Sample) -> tuple[np.ndarray, np.ndarray]:
    return eye.of(DISC)[0].mask.copy(), eye.of(CUP)[0].mask.copy()


def drawn(eye: Sample, disc: np.ndarray | None, cup: np.ndarray | None) -> Sample:
    pairs = ((DISC, disc), (CUP, cup))
    return replace(eye, annotations=tuple(Annotation(r, "expert1", m) for r, m in pairs if m is not None))


def outline(mask: np.ndarray, width: int = 1) -> np.ndarray:
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    return mask & ~cv2.erode(mask.view(np.uint8), kernel).astype(bool)


def opened(mask: np.ndarray) -> np.ndarray:
    """The same line with a gap, so that nothing is enclosed."""
    rows = np.flatnonzero(mask.any(axis=1))
    mask[rows[len(rows) // 2] :][:6] = False
    return mask


FAULTS = {
    "disc turned round": lambda disc, cup: (~disc, cup),
    "cup turned round": lambda disc, cup: (disc, ~cup),
    "outline as disc": lambda disc, cup: (outline(disc), outline(cup)),
    "outline as cup": lambda disc, cup: (disc, outline(cup)),
    "disc and cup swapped": lambda disc, cup: (cup, disc),
    "rim as disc": lambda disc, cup: (disc & ~cup, cup),
    "disc with a hole": lambda disc, cup: (disc & ~cup, None),
    "cup with a hole": lambda disc, cup: (disc, disc & ~cup),
    "cup outside its disc": lambda disc, cup: (disc, np.roll(cup, 90, axis=0)),
    "a dot as disc": lambda disc, cup: (np.pad(np.ones((1, 1), bool), (100, 155)), None),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_what_no_eye_can_have_is_an_error_with_file_and_cure(eye, kind):
    with pytest.raises(ImplausibleMaskError, match=kind) as caught:
        find_doubts(drawn(eye, *FAULTS[kind](*masks(eye))))
    assert str(eye.record.image) in str(caught.value) and caught.value.do


def test_lines_are_told_whatever_their_width_and_gaps(eye):
    disc, _ = masks(eye)
    for line in (outline(disc), outline(disc, 2), opened(outline(disc)), opened(outline(disc, 2))):
        with pytest.raises(ImplausibleMaskError, match="outline as disc"):
            find_doubts(drawn(eye, line, None))


def test_a_small_cup_cut_out_of_its_disc_is_the_rim(eye):
    disc, cup = masks(eye)
    small = cv2.erode(cup.view(np.uint8), np.ones((3, 3), np.uint8), iterations=int(cup.sum() ** 0.5 / 2) - 4)
    small = small.astype(bool)
    assert 0 < small.sum() < 0.1 * disc.sum()
    with pytest.raises(ImplausibleMaskError, match="rim as disc"):
        find_doubts(drawn(eye, disc & ~small, small))


def bitten(disc: np.ndarray) -> np.ndarray:
    """A disc without a quarter."""
    rows, columns = np.nonzero(disc)
    disc[: int(rows.mean()), : int(columns.mean())] = False
    return disc


def at_the_edge(disc: np.ndarray, cup: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    right = disc.shape[1] - 1 - np.flatnonzero(disc.any(axis=0))[-1]
    disc, cup = (np.roll(mask, right + 8, axis=1) for mask in (disc, cup))
    disc[:, :20] = False
    return disc, cup


DOUBTS = {
    "disc with specks": lambda disc, cup: (disc | np.pad(np.ones((1, 1), bool), (2, 253)), cup),
    "disc in several parts": lambda disc, cup: (disc | np.roll(disc, 110, axis=0), cup),
    "disc with a hole": lambda disc, cup: (
        disc & ~np.roll(cup, 0) | (cup & (np.indices(cup.shape).sum(0) % 5 > 0)),
        None,
    ),
    "cup outside its disc": lambda disc, cup: (disc, np.roll(cup, int(disc.sum() ** 0.5 * 0.45), axis=1)),
    "cup of an odd size": lambda disc, cup: (disc, disc),
    "disc of an odd form": lambda disc, cup: (bitten(disc), None),
    "disc touches the border": at_the_edge,
    "disc of an odd size": lambda disc, cup: (np.pad(np.ones((3, 3), bool), (126, 127)), None),
}


@pytest.mark.parametrize("kind", DOUBTS)
def test_what_few_eyes_have_is_a_doubt(eye, kind):
    assert kind in [doubt.kind for doubt in find_doubts(drawn(eye, *DOUBTS[kind](*masks(eye))))]


def test_a_disc_darker_than_what_is_around_it_is_doubted(eye):
    kinds = [doubt.kind for doubt in find_doubts(replace(eye, image=255 - eye.image))]
    assert "disc darker than what is around it" in kinds


@pytest.mark.parametrize("size", [48, 96, 256])
@pytest.mark.slow
def test_eyes_are_not_doubted(size):
    assert [find_doubts(sample) for sample in Phantom(count=40, size=size)] == [[]] * 40


@pytest.mark.parametrize(
    ("kind", "turn"),
    [("turned by 180 degrees", lambda image: image[::-1, ::-1]), ("mirrored", lambda image: image[:, ::-1])],
)
def test_a_picture_turned_apart_from_its_mask_is_doubted(kind, turn):
    eyes = [replace(sample, image=turn(sample.image).copy()) for sample in Phantom(count=20, size=256)]
    kinds = [[doubt.kind for doubt in find_doubts(one)] for one in eyes]
    assert sum(f"disc of a picture that is {kind}" in found for found in kinds) > 12


def test_a_disc_may_touch_the_border_of_a_crop(eye):
    disc, cup = masks(eye)
    rows, columns = np.flatnonzero(disc.any(axis=1)), np.flatnonzero(disc.any(axis=0))
    window = slice(rows[0], rows[-1] + 8), slice(columns[0], columns[-1] + 8)
    cut = drawn(replace(eye, image=eye.image[window].copy()), disc[window].copy(), cup[window].copy())
    assert "disc touches the border" not in [doubt.kind for doubt in find_doubts(cut)]


def test_what_is_not_used_is_not_looked_at(eye):
    disc, cup = masks(eye)
    assert find_doubts(drawn(eye, disc, ~cup), {DISC}) == []
    vessels = replace(eye, annotations=(Annotation("vessels", "expert1", outline(disc)),))
    assert find_doubts(vessels, {"vessels"}) == []


def test_a_stray_pixel_does_not_widen_the_crop(eye):
    disc, cup = masks(eye)
    preparation = Preparation(image_size=64)
    box = preparation.box(drawn(eye, disc, cup))
    disc[1, 1] = True
    assert preparation.box(drawn(eye, disc, cup)) == box
    assert large_parts(disc).sum() == disc.sum() - 1
    with pytest.raises(DatasetError, match="an empty disc mask"):
        preparation.box(drawn(eye, 0 * disc > 0, cup))


def test_doubts_are_kept_with_the_store_and_faults_make_none(eye, tmp_path):
    disc, cup = masks(eye)
    disc[1, 1] = True
    dataset = Phantom(count=3, size=256)
    dataset.load = lambda record: replace(drawn(eye, disc, cup), record=record)
    store = PreparedStore.build(dataset, Preparation(image_size=64), tmp_path)
    assert [[doubt.kind for doubt in found] for found in store.doubts] == [["disc with specks"]] * 3
    assert json.loads((store.folder / "doubts.json").read_text()) and PreparedStore(store.folder).doubts == store.doubts
    broken = Phantom(count=3, size=256, seed=5)
    broken.load = lambda record: replace(drawn(eye, ~disc, cup), record=record)
    with pytest.raises(Exception, match=r"3 of 3 pictures .* disc turned round"):
        PreparedStore.build(broken, Preparation(image_size=64), tmp_path)


def test_a_summary_names_no_picture():
    doubts = [[Doubt("a", "secret.png"), Doubt("b", "")], [Doubt("b", "")], []]
    assert summary("mine", doubts) == "mine: labels of 2 of 3 pictures are doubtful: 2 b, 1 a"
    assert summary("mine", [[], []]) == ""


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.parametrize(
    ("reader", "root"),
    [
        ("DrishtiGS", "Drishti-GS1_files"),
        ("Refuge", "REFUGE-crops"),
        ("Origa", "ORIGA-crops"),
        ("RimOneDL", "RIM-ONE-DL"),
        ("IDRiD", "IDRiD"),
        ("DrionsDB", "DRIONS-DB"),
        ("OpticDiscSeg", "optic_disc_seg"),
        ("IsbiMembrane", "ISBI-membrane"),
        ("Sclera", "sclera-MASD"),
    ],
)
def test_no_real_eye_is_refused_or_doubted(realdata, reader, root):
    dataset = getattr(datasets, reader)(realdata / root)
    doubts = {record.name: found for record in dataset.records if (found := find_doubts(dataset.load(record)))}
    assert doubts == {}
