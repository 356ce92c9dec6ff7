"""What is no fundus photograph, or too poor a one, is said from the pixels alone."""

import cv2
import numpy as np
import pytest
from skimage import data

from fundusseg.datasets import DrionsDB, DrishtiGS, Folder, OpticDiscSeg, Phantom
from fundusseg.imaging import roi
from fundusseg.imaging.image_files import read_with_light
from fundusseg.imaging.quality import BLURRED, CUT, FORMLESS, assess, sharpness, unlit_surroundings
from fundusseg.imaging.roi import disc_box
from fundusseg.sample import DISC


@pytest.mark.slow
def test_a_retina_is_taken_and_what_is_none_is_not():
    assert not assess(data.retina()).faults
    blue = data.retina()[..., ::-1]
    for other in (data.rocket(), blue):
        assert "not the colours" in assess(other).faults[0]
    pale = (0.45 * data.retina() + 0.55 * data.retina().mean(2, keepdims=True)).astype(np.uint8)
    pale[..., 2] = np.clip(pale[..., 2] * 1.35, 0, 255)
    assert not assess(pale).faults and "odd colours" in assess(pale).flaws[0]
    grey = assess(data.retina()[..., 1:2].repeat(3, 2))
    assert not grey.faults and "grey" in grey.flaws[0]


def test_light():
    retina = data.retina()
    assert assess(np.zeros((80, 90, 3), np.uint8)).faults == ("nothing is lit",)
    assert assess((retina * 0.15).astype(np.uint8)).flaws[0].startswith("poorly lit")
    white = retina.copy()
    white[400:1000, 400:1000] = 255
    assert "overexposed" in assess(white).flaws[0]


@pytest.mark.slow
def test_a_deep_file_that_holds_little_light_is_for_a_person(tmp_path):
    """A sixteenth of the light in 16 bits has the numbers of a well-lit photograph of a 12-bit camera."""
    retina = data.retina().astype(np.uint16)
    for name, deep, expected in (("bright", retina * 257, False), ("dim", retina * 257 // 16, True)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), deep[..., ::-1])
        pixels, light = read_with_light(tmp_path / f"{name}.png")
        found = assess(pixels, light=light)
        assert not found.faults and any("poorly lit" in flaw for flaw in found.flaws) is expected
        assert not assess(pixels).flaws, "by the scaled numbers alone nothing is seen"


def test_a_field_of_view_that_is_known_is_not_looked_for_again(monkeypatch):
    retina, box = data.retina(), roi.field_of_view(data.retina())
    found = assess(retina)
    monkeypatch.setattr(roi, "field_of_view", lambda image: pytest.fail("looked for again"))
    assert assess(retina, box) == found


def test_sharpness_does_not_depend_on_the_camera_but_on_the_focus():
    sample = Phantom(count=1, size=512)[0]
    around = disc_box(sample.of(DISC)[0].mask, 1.0)
    circle = around.top + around.height / 2, around.left + around.width / 2, float(around.height)
    half = cv2.resize(sample.image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    sharp = sharpness(sample.image, *circle)
    assert sharpness(half, *(value / 2 for value in circle)) == pytest.approx(sharp, rel=0.35)
    assert sharpness(cv2.GaussianBlur(sample.image, (0, 0), around.height / 8), *circle) < 0.5 * sharp


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.parametrize(
    ("reader", "root", "more"),
    [
        (DrishtiGS, "Drishti-GS1_files", {}),
        (DrionsDB, "DRIONS-DB", {}),
        (OpticDiscSeg, "optic_disc_seg", {}),
        (Folder, "REFUGE-crops", {"name": "refuge_crops"}),
        (Folder, "ORIGA-crops", {"name": "origa_crops"}),
    ],
)
def test_real_photographs_pass_and_blurred_ones_do_not(reader, root, more, realdata):
    dataset = reader(realdata / root, **more)
    samples = [dataset[position] for position in range(0, len(dataset), max(1, len(dataset) // 8))]
    sharp = []
    for sample in samples:
        assert not assess(sample.image).faults
        discs = sample.of(DISC)
        if not discs[0].mask.any():
            continue
        around = disc_box(discs[0].mask, 1.0)
        circle = around.top + around.height / 2, around.left + around.width / 2, float(around.height)
        sharp.append(sharpness(sample.image, *circle))
        assert sharpness(cv2.GaussianBlur(sample.image, (0, 0), around.height / 6), *circle) < BLURRED
        assert unlit_surroundings(sample.image, discs[0].mask > 0) <= CUT
    assert min(sharp) > FORMLESS and np.median(sharp) > BLURRED
