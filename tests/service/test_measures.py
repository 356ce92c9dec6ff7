"""Numbers of an outline that a reader draws are those that the package measures."""

import pytest

from fundusseg.measures.contours import contours, filled
from fundusseg.measures.cup_disc import measure
from tests.support.located import CUP, DISC, photograph
from tests.support.service import PHOTOGRAPH

pytestmark = pytest.mark.slow

HEIGHT, WIDTH = photograph().shape[:2]


def drawn(**changes):
    labels = (DISC.mask((HEIGHT, WIDTH)) * 1 + CUP.mask((HEIGHT, WIDTH))).astype("uint8")
    outlines = {region: points.tolist() for region, points in contours(labels).items()}
    return {"width": WIDTH, "height": HEIGHT, "contours": outlines, "eye": "OD", **changes}


def test_an_outline_is_measured_as_the_package_does(running):
    posted = drawn(millimetres_per_pixel=0.01)
    found = running.post("/v1/measures", posted).json
    labels = filled(posted["contours"], (HEIGHT, WIDTH))
    expected = vars(measure(labels, eye="OD", millimetres_per_pixel=0.01))
    assert {key: value for key, value in found["measures"].items() if value is not None} == {
        key: value for key, value in expected.items() if value == value
    }
    assert len(found["rim"]["share"]) == 360


def test_the_network_s_own_outline_gives_its_own_numbers(running):
    network = running.post("/v1/predictions?eye=OD", PHOTOGRAPH).json["photographs"][0]
    found = running.post("/v1/measures", drawn(contours=network["contours"])).json["measures"]
    for name in ("vertical_cdr", "horizontal_cdr", "area_cdr", "rim_min_ratio", "disc_area"):
        assert found[name] == pytest.approx(network["measures"][name], rel=0.01)


def test_no_cup_is_a_ratio_of_0_and_no_disc_is_none(running):
    contours = drawn()["contours"]
    none = running.post("/v1/measures", drawn(contours={"disc": contours["disc"]})).json["measures"]
    assert (none["vertical_cdr"], none["reason"]) == (0, "no cup found: ratio 0")
    nothing = running.post("/v1/measures", drawn(contours={})).json
    assert nothing["measures"]["reason"] == "no disc found"
    assert nothing["rim"]["centre"] is None


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"width": 0}, 422, "width 0; expected greater than or equal to 1"),
        ({"contours": {"disc": [[1, 2], [3, 4]]}}, 422, "outline of the disc with 2 points"),
        ({"contours": {"disc": [[1e300, 2]] * 3}}, 422, "contours.disc.0.0 1e+300"),
        ({"contours": {"disk": []}}, 422, "contours.disk"),
        ({"eye": "left"}, 422, "eye 'left'"),
        ({"width": 60_000, "height": 60_000}, 413, "60000 x 60000 pixels"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(running, changes, status, said):
    answer = running.post("/v1/measures", drawn(**changes))
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert said in answer.json["detail"]
