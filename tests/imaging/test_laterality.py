import numpy as np
import pytest

from fundusseg.data.expert_fusion import fuse
from fundusseg.datasets import DrishtiGS, OpticDiscSeg
from fundusseg.imaging.laterality import eye_from_name, eye_from_place, infer_eye
from fundusseg.imaging.roi import Box, field_of_view
from fundusseg.sample import DISC

FIELD = Box(0, 100, 800, 800)


@pytest.mark.parametrize(
    ("name", "eye"),
    [
        ("P12_OD.jpg", "OD"),
        ("RET012OS.jpg", "OS"),
        ("patient 4 od.tif", "OD"),
        ("15_left.jpeg", "OS"),
        ("Right-07.png", "OD"),
        ("img_0031_R.png", "OD"),
        ("img_L_0031.png", "OS"),
        ("14-L.png", "OS"),
        ("/scans/OD/P3_OS.jpg", "OS"),
        (r"C:\scans\OD\P3 OS.jpg", "OS"),
        ("OD and OS.jpg", None),
        ("left_OD.jpg", None),
        ("/scans/OD/P3.jpg", None),
        ("drishtiGS_001_ODsegSoftmap.png", None),
        ("leftover.png", None),
        ("bright.png", None),
        ("method.png", None),
        ("cosmos.jpg", None),
        ("R2D2.jpg", None),
        ("R.jpg", None),
        ("img_r_l.jpg", None),
        ("photograph_RGB.png", None),
        ("", None),
    ],
)
def test_names(name, eye):
    assert eye_from_name(name) == eye


def disc_at(x, radius=40):
    labels = np.zeros((800, 1000), np.uint8)
    labels[400 - radius : 400 + radius, x - radius : x + radius] = 1
    return labels


def test_the_disc_s_place_tells_the_eye_only_where_it_is_clear():
    assert eye_from_place(disc_at(780), FIELD) == "OD"
    assert eye_from_place(disc_at(220), FIELD) == "OS"
    # Within the field the middle is at 500: the frame left of it counts for nothing.
    assert eye_from_place(disc_at(500), FIELD) is None
    assert eye_from_place(disc_at(590), FIELD) is None
    assert eye_from_place(disc_at(630), FIELD) == "OD"
    assert eye_from_place(np.zeros((800, 1000), np.uint8), FIELD) is None


def test_a_crop_tells_nothing():
    assert eye_from_place(disc_at(780, radius=110), FIELD) is None


@pytest.mark.slow
def test_mirroring_gives_the_other_eye():
    assert eye_from_place(disc_at(780)[:, ::-1], FIELD) == "OS"


def test_the_name_comes_first():
    assert infer_eye("a_OS.png", disc_at(780), FIELD) == ("OS", "name")
    assert infer_eye("a.png", disc_at(780), FIELD) == ("OD", "place of the disc")
    assert infer_eye("a.png", disc_at(500), FIELD) == (None, "not told")
    assert infer_eye("a.png", disc_at(780)) == (None, "not told")


@pytest.mark.realdata
@pytest.mark.slow
def test_photographs_centred_on_the_disc_tell_nothing_and_those_on_the_macula_do(realdata):
    told = {}
    for dataset in (DrishtiGS(realdata / "Drishti-GS1_files"), OpticDiscSeg(realdata / "optic_disc_seg")):
        eyes = []
        for position in range(0, len(dataset), len(dataset) // 10):
            sample = dataset[position]
            labels = (fuse(sample.of(DISC), "majority") > 127).astype(np.uint8)
            eyes.append(eye_from_place(labels, field_of_view(sample.image)))
        told[dataset.source] = sum(eye is not None for eye in eyes) / len(eyes)
    assert told["drishti_gs"] == 0
    assert told["optic_disc_seg"] >= 0.6
