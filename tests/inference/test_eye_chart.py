from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fundusseg.datasets._phantom_ellipse import Ellipse
from fundusseg.errors import ImageError
from fundusseg.inference.eye_chart import HEIGHT, WIDTH, chart
from fundusseg.measures.contours import contours
from fundusseg.measures.cup_disc import measure
from fundusseg.measures.rim import rim_profile
from fundusseg.reports.overlay import CUP_COLOUR, DISC_COLOUR

SIZE = 700
DISC, CUP = Ellipse(400, 300, 60, 75, 0), Ellipse(410, 312, 30, 40, 0)


def photograph(size=SIZE):
    image = np.full((size, size, 3), (90, 40, 20), np.uint8)
    image[:4] = image[-4:] = 0
    return image


def labels(cup=True):
    codes = DISC.mask((SIZE, SIZE)).astype(np.uint8)
    if cup:
        codes[CUP.mask((SIZE, SIZE))] = 2
    return codes


def draw(codes, eye=None, image=None, **texts):
    image = photograph() if image is None else image
    return chart(image, codes, measure(codes, eye=eye), rim_profile(codes, eye), **texts)


def near(picture, colour, tolerance=40):
    return (np.abs(picture.astype(int) - colour) <= tolerance).all(axis=-1)


def test_contours_lie_where_the_regions_end():
    """The square is two disc heights wide: 300 of the photograph's pixels on 600."""
    picture = draw(labels())
    assert picture.shape == (HEIGHT, WIDTH, 3) and picture.dtype == np.uint8
    square = picture[:, :HEIGHT]
    for ellipse, colour in ((DISC, DISC_COLOUR), (CUP, CUP_COLOUR)):
        rows, columns = np.nonzero(near(square, colour))
        centre = 300 + 2 * (np.array([ellipse.y, ellipse.x]) - (DISC.y, DISC.x))
        assert rows.min() == pytest.approx(centre[0] - 2 * ellipse.half_height, abs=4)
        assert rows.max() == pytest.approx(centre[0] + 2 * ellipse.half_height, abs=4)
        assert columns.min() == pytest.approx(centre[1] - 2 * ellipse.half_width, abs=4)
        assert columns.max() == pytest.approx(centre[1] + 2 * ellipse.half_width, abs=4)


def test_the_whole_photograph_is_shown_only_beside_a_small_square():
    brown = near(draw(labels())[300:, HEIGHT:], (90, 40, 20), 3)
    assert brown.sum() > 150 * 150
    codes = labels()[200:400, 300:500]
    alone = draw(codes, image=photograph()[200:400, 300:500])
    assert not near(alone[300:, HEIGHT:], (90, 40, 20), 3).any()


@pytest.mark.slow
def test_the_rim_s_profile_lies_as_on_the_photograph_in_either_eye():
    codes = DISC.mask((SIZE, SIZE)).astype(np.uint8)
    codes[Ellipse(430, 300, 25, 25, 0).mask((SIZE, SIZE))] = 2  # to the right: the rim there is narrow
    mark = (255, 138, 61)
    for eye in (None, "OD", "OS"):
        rows, columns = np.nonzero(near(draw(codes, eye), mark))
        profile = columns > 900
        assert columns[profile].max() - 1035 > 5 > abs(rows[profile].mean() - 429)
        assert columns[~profile].min() > 300 and abs(rows[~profile].mean() - 300) < 12


@pytest.mark.slow
def test_a_disc_alone_has_no_rim_to_show():
    codes, mark = labels(cup=False), (255, 138, 61)
    assert near(draw(labels()), mark).any()
    for regions in (("disc",), ("disc", "cup")):
        picture = chart(photograph(), codes, measure(codes, regions), rim_profile(codes))
        assert not near(picture, mark, 15).any()
        assert near(picture[:, :HEIGHT], DISC_COLOUR).any()


@pytest.mark.slow
def test_sides_are_named_only_of_a_known_eye_and_swap_with_it():
    none, right, left = (draw(labels(), eye)[280:320, :30] for eye in (None, "OD", "OS"))
    assert not near(none, (242, 244, 246)).any()
    assert near(right, (242, 244, 246)).any() and near(left, (242, 244, 246)).any()
    assert not np.array_equal(right, left)


@pytest.mark.slow
def test_texts_are_shown_as_they_are():
    plain = draw(labels())
    titled = draw(labels(), title="$x_1$ é.png")
    assert not np.array_equal(plain[20:45, 620:900], titled[20:45, 620:900])
    captioned = draw(labels(), caption="90% interval 0.5 to 0.6")
    assert not np.array_equal(plain[80:125, 760:1190], captioned[80:125, 760:1190])
    assert np.array_equal(plain[130:], captioned[130:])


@pytest.mark.parametrize(
    "codes", [np.zeros((SIZE, SIZE), np.uint8), labels(cup=False), 2 * (labels() > 0).astype("u1")]
)
@pytest.mark.parametrize("eye", [None, "OS"])
def test_what_is_missing_is_drawn_without_complaint(codes, eye):
    assert draw(codes, eye).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("shape", [(1, 1), (40, 9), (3, 500)])
@pytest.mark.slow
def test_any_size(shape):
    image = np.full((*shape, 3), 100, np.uint8)
    for code in (0, 1, 2):
        assert draw(np.full(shape, code, np.uint8), "OD", image).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.slow
def test_given_outlines_are_drawn():
    moved = {region: points + 20 for region, points in contours(labels()).items()}
    assert not np.array_equal(draw(labels(), outlines=moved)[:, :HEIGHT], draw(labels())[:, :HEIGHT])
    assert np.array_equal(draw(labels(), outlines=contours(labels())), draw(labels()))


@pytest.mark.slow
def test_threads_draw_the_same():
    codes = labels()
    expected = draw(codes, "OD", title="one")
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(lambda _: draw(codes, "OD", title="one"), range(8)))
    assert all(np.array_equal(picture, expected) for picture in drawn)


def test_sizes_must_fit():
    with pytest.raises(ImageError, match="30 x 20"):
        draw(np.zeros((20, 30), np.uint8))
