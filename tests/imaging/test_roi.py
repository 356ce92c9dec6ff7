import pickle

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from fundusseg.errors import ConfigurationError, DatasetError
from fundusseg.imaging.image_files import read_photograph
from fundusseg.imaging.roi import Box, bounds, crop, disc_box, field_of_view, restore, square


def ellipse(shape, centre, axes, degrees=0.0):
    """Share of the pixel that lies within, from 8 x 8 points in each."""
    points = (np.arange(shape[0] * 8) + 0.5) / 8, (np.arange(shape[1] * 8) + 0.5) / 8
    y, x = np.meshgrid(points[0] - centre[0], points[1] - centre[1], indexing="ij")
    turn = np.deg2rad(degrees)
    u, v = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
    inside = (u / axes[0]) ** 2 + (v / axes[1]) ** 2 <= 1
    return inside.reshape(shape[0], 8, shape[1], 8).mean(axis=(1, 3)).astype(np.float32)


def centroid(mask):
    rows, columns = np.nonzero(mask)
    return np.array([rows.mean(), columns.mean()])


def extents(mask):
    rows, columns = np.nonzero(mask)
    return np.array([rows.min(), rows.max(), columns.min(), columns.max()])


def photograph(height=400, width=600, centre=(200, 320), radius=230, frame=0):
    """A red disc of light on a frame."""
    image = np.full((height, width, 3), frame, np.uint8)
    cv2.circle(image, centre[::-1], radius, (160, 80, 40), -1)
    return image


# --- boxes


def test_a_box_needs_an_extent():
    with pytest.raises(ConfigurationError):
        Box(0, 0, 0, 5)
    assert pickle.loads(pickle.dumps(Box(-3, 2, 4, 5))) == Box(-3, 2, 4, 5)


@settings(max_examples=60, deadline=None)
@given(arrays(np.uint8, (6, 9), elements=st.sampled_from([0, 0, 0, 1, 255])))
def test_bounds_are_scipys(mask):
    got, reference = bounds(mask), ndimage.find_objects((mask > 0).astype(int))
    assert (got.slices if got else None) == (reference[0] if reference else None)


def test_disc_box_is_centred_and_scaled():
    mask = np.zeros((100, 200), np.uint8)
    mask[40:60, 90:130] = 255
    assert disc_box(mask, 2.0) == Box(10, 70, 80, 80)
    assert disc_box(mask > 127, 1.0) == Box(30, 90, 40, 40)


def test_disc_box_may_leave_the_picture_and_128_is_a_majority():
    mask = np.zeros((50, 50), np.uint8)
    mask[0:10, 0:10] = 128
    mask[30:40, 30:40] = 127
    assert disc_box(mask, 3.0) == Box(-10, -10, 30, 30)


def test_disc_box_of_nothing_is_an_error():
    with pytest.raises(DatasetError, match="empty disc mask of 7 x 5"):
        disc_box(np.zeros((5, 7), bool), 2.0)
    with pytest.raises(ConfigurationError, match="scale"):
        disc_box(np.ones((5, 7), bool), float("nan"))


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(1, 90), st.integers(1, 90))
def test_square_is_the_smallest_around(top, left, height, width):
    box = square(Box(top, left, height, width))
    assert box.height == box.width == max(height, width)
    assert box.top <= top
    assert box.top + box.height >= top + height
    assert box.left <= left
    assert box.left + box.width >= left + width
    assert abs((2 * box.top + box.height) - (2 * top + height)) <= 1
    assert abs((2 * box.left + box.width) - (2 * left + width)) <= 1


# --- field of view


@pytest.mark.parametrize("frame", [0, 12])
@pytest.mark.parametrize("scale", [1, 3])
def test_field_of_view_of_a_round_field(frame, scale):
    image = photograph(400 * scale, 600 * scale, (200 * scale, 320 * scale), 150 * scale, frame)
    box = field_of_view(image)
    got = np.array([box.top, box.left, box.top + box.height, box.left + box.width])
    assert np.abs(got - np.array([50, 170, 350, 470]) * scale).max() <= 3 * scale


def test_field_of_view_ignores_text_and_noise():
    image = photograph()
    cv2.putText(image, "0885", (2, 250), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (220, 220, 255), 2)
    noise = np.random.default_rng(0).integers(0, 12, image.shape)
    box = field_of_view((image + noise).clip(0, 255).astype(np.uint8))
    assert abs(box.left - 90) <= 4
    assert abs(box.left + box.width - 551) <= 4
    assert (box.top, box.height) == (0, 400)


def test_field_of_view_keeps_a_shaded_side():
    image = photograph(centre=(200, 300), radius=180).astype(float)
    image *= np.linspace(1, 0.1, 600)[None, :, None]
    box = field_of_view(image.astype(np.uint8))
    assert abs(box.left - 120) <= 4
    assert abs(box.left + box.width - 481) <= 4


@pytest.mark.parametrize("level", [0, 90, 255])
@pytest.mark.parametrize("shape", [(64, 48, 3), (1, 1, 3), (3, 900, 3), (300, 300)])
def test_field_of_view_of_an_even_picture_is_the_whole(level, shape):
    assert field_of_view(np.full(shape, level, np.uint8)) == Box(0, 0, *shape[:2])


def test_field_of_view_of_noise_or_text_alone_is_the_whole():
    image = np.zeros((400, 600, 3), np.uint8)
    cv2.putText(image, "0885", (2, 250), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (220, 220, 255), 2)
    assert field_of_view(image) == Box(0, 0, 400, 600)


@pytest.mark.realdata
def test_field_of_view_of_drions_leaves_the_text_out(realdata):
    paths = sorted((realdata / "DRIONS-DB" / "images").glob("*.jpg"))
    assert paths
    for path in paths:
        box = field_of_view(read_photograph(path))
        assert 10 <= box.left <= 60
        assert 545 <= box.width <= 565
        assert box.height >= 390


@pytest.mark.realdata
def test_field_of_view_of_drishti_keeps_nearly_all(realdata):
    paths = sorted((realdata / "Drishti-GS1_files" / "Training" / "Images").rglob("*.png"))[::10]
    assert paths
    for path in paths:
        image = read_photograph(path)
        box = field_of_view(image)
        # The camera's field is 1024 pixels wide at half size, wherever it lies.
        assert 1010 <= box.width <= 1030
        assert box.height >= 0.94 * image.shape[0]


# --- crop


def test_crop_at_native_size_copies():
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    assert np.array_equal(crop(image, Box(5, 7, 16, 16), 16), image[5:21, 7:23])


def test_crop_outside_is_zero():
    image = np.full((10, 10), 200, np.uint8)
    expected = np.zeros((20, 20), np.uint8)
    expected[5:15, 5:15] = 200
    assert np.array_equal(crop(image, Box(-5, -5, 20, 20), 20), expected)
    assert not crop(image, Box(50, -90, 20, 20), 8).any()


def test_crop_shrinks_by_area():
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    means = image.reshape(4, 2, 4, 2).mean(axis=(1, 3))
    assert np.abs(crop(image, Box(0, 0, 8, 8), 4) - means).max() <= 0.5
    assert crop(np.full((3, 3), 90, np.uint8), Box(0, 0, 3, 3), 2).tolist() == [[90, 90], [90, 90]]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(-60, 90),
    st.integers(-60, 90),
    st.integers(1, 150),
    st.integers(1, 150),
    st.integers(1, 70),
)
def test_crop_and_restore_take_any_box(top, left, height, width, size):
    image = np.full((40, 50), 100, np.uint8)
    box = Box(top, left, height, width)
    cut = crop(image, box, size)
    assert cut.shape == (size, size)
    assert cut.max() <= 100
    back = restore(np.ones((2, size, size), np.float32), box, image.shape)
    inside = np.zeros(image.shape, np.float32)
    inside[max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)] = 1
    assert back.shape == (2, 40, 50)
    assert back.dtype == np.float32
    assert np.allclose(back, inside, atol=1e-5)


# --- there and back


@pytest.mark.parametrize("size", [40, 64, 96, 128, 200, 256])
@pytest.mark.slow
def test_restore_inverts_crop_on_ellipses(size):
    rng = np.random.default_rng(size)
    shape = (150, 180)
    for _ in range(6):
        centre = rng.uniform([50, 60], [100, 120])
        share = ellipse(shape, centre, rng.uniform(15, 40, 2), rng.uniform(0, 180))
        mask = share > 0.5
        box = disc_box(mask, float(rng.uniform(1.2, 4.0)))
        cut = crop(np.rint(share * 255).astype(np.uint8), box, size)
        back = restore(cut[None].astype(np.float32) / 255, box, shape)[0] > 0.5
        assert np.abs(centroid(back) - centroid(mask)).max() < 0.5
        assert np.abs(extents(back) - extents(mask)).max() <= max(1.0, box.height / size)


def test_restore_has_no_bias():
    """A linear ramp is its own test: half a pixel off anywhere and the values differ."""
    y, x = np.mgrid[0:120, 0:160].astype(np.float32) + 0.5
    box, size = Box(20, 31, 64, 64), 16
    centres = (np.arange(size) + 0.5) * 4
    ramp = np.stack(np.meshgrid(20 + centres, 31 + centres, indexing="ij")).astype(np.float32)
    back = restore(ramp, box, (120, 160))
    inner = (slice(22, 82), slice(33, 93))
    assert np.allclose(back[0][inner], y[inner], atol=1e-4)
    assert np.allclose(back[1][inner], x[inner], atol=1e-4)


def test_restore_at_native_size_copies_and_is_zero_outside():
    values = np.random.default_rng(4).random((2, 10, 10), dtype=np.float32)
    back = restore(values, Box(-3, 95, 10, 10), (50, 100))
    assert np.allclose(back[:, :7, 95:], values[:, 3:, :5], atol=1e-6)
    assert np.count_nonzero(back) == np.count_nonzero(values[:, 3:, :5])
    assert not restore(values, Box(200, 0, 10, 10), (50, 100)).any()
