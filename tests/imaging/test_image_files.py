"""Picture files of every kind, whole and broken."""

import contextlib
import io
import zlib

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from fundusseg.errors import ImageError
from fundusseg.imaging.image_files import (
    as_photograph,
    count_pages,
    encode_jpeg,
    picture_size,
    read_mask,
    read_photograph,
    read_with_light,
    write_png,
)

RGB = np.random.default_rng(0).integers(0, 256, (24, 30, 3), dtype=np.uint8)


def encoded(kind, **options):
    stream = io.BytesIO()
    Image.fromarray(RGB).save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif"])
def test_lossless_photographs_keep_every_pixel(tmp_path, name):
    Image.fromarray(RGB).save(tmp_path / name)
    assert np.array_equal(read_photograph(tmp_path / name), RGB)


def test_write_png_comes_back_and_leaves_nothing_else(tmp_path):
    write_png(tmp_path / "a.png", RGB)
    assert np.array_equal(read_photograph(tmp_path / "a.png"), RGB)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_grey_palette_and_rgba_become_rgb(tmp_path):
    grey = RGB[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(read_photograph(tmp_path / "grey.png"), np.repeat(grey[..., None], 3, 2))
    palette = Image.fromarray((grey % 2).astype(np.uint8))
    palette.putpalette([9, 8, 7, 200, 100, 50])
    palette.save(tmp_path / "palette.png")
    assert np.array_equal(
        read_photograph(tmp_path / "palette.png"), np.where(grey[..., None] % 2, [200, 100, 50], [9, 8, 7])
    )
    Image.fromarray(np.dstack([RGB, grey])).save(tmp_path / "rgba.png")
    assert np.array_equal(read_photograph(tmp_path / "rgba.png"), RGB)


def test_sixteen_bits_are_scaled_to_eight(tmp_path):
    Image.fromarray(np.array([[0, 32768, 65535]], dtype=np.uint16)).save(tmp_path / "a.png")
    assert read_photograph(tmp_path / "a.png")[0, :, 0].tolist() == [0, 127, 255]


@pytest.mark.parametrize(
    ("brightest", "full"), [(255, 255), (1000, 1023), (4000, 4095), (16000, 16383), (65535, 65535)]
)
@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_deep_pictures_are_scaled_by_the_depth_that_holds_them(tmp_path, brightest, full, suffix, channels):
    deep = np.random.default_rng(1).integers(0, brightest, (9, 11, channels), dtype=np.uint16)
    deep[0, 0] = brightest
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), deep)  # blue first, as OpenCV has it
    expected = deep[..., 2::-1] if channels > 1 else np.repeat(deep, 3, 2)
    read = read_photograph(tmp_path / f"a.{suffix}")
    assert read.dtype == np.uint8 and np.array_equal(read, expected.astype(int) * 255 // full)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_how_much_light_a_deep_file_holds_is_told(tmp_path, suffix, channels):
    full = np.linspace(0, 65535, 99 * channels).reshape(9, 11, channels).astype(np.uint16)
    for name, deep, expected in (("full", full, 1), ("dim", full // 16, 1 / 16)):
        cv2.imwrite(str(tmp_path / f"{name}.{suffix}"), deep)
        pixels, light = read_with_light(tmp_path / f"{name}.{suffix}")
        assert pixels.max() == 255 and light == pytest.approx(expected, rel=1e-3)
    Image.fromarray(RGB // 4).save(tmp_path / "plain.png")
    assert read_with_light(tmp_path / "plain.png")[1] == 1


def test_a_deep_colour_photograph_is_turned_upright(tmp_path):
    deep = np.random.default_rng(1).integers(0, 65536, (9, 11, 3), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), deep)
    chunk = b"eXIf" + b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    block = (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "b.png").write_bytes(whole[:33] + block + whole[33:])
    assert np.array_equal(read_photograph(tmp_path / "b.png"), np.rot90(read_photograph(tmp_path / "a.png"), -1))


def test_a_page_of_deep_colours(tmp_path):
    pages = [np.full((5, 6, 3), value, np.uint16) for value in (1000, 40000)]
    cv2.imwritemulti(str(tmp_path / "a.tif"), pages)
    assert [int(read_photograph(tmp_path / "a.tif", page)[0, 0, 0]) for page in (0, 1)] == [249, 155]


def test_deep_colours_in_planes_are_refused(tmp_path):
    # Pillow gives other pixels without a word.
    Image.fromarray(RGB).save(tmp_path / "a.tif", tiffinfo={284: 1})
    cv2.imwrite(str(tmp_path / "deep.tif"), RGB.astype(np.uint16) * 200, [cv2.IMWRITE_TIFF_COMPRESSION, 1])
    content = (tmp_path / "deep.tif").read_bytes()
    layout = b"\x1c\x01\x03\x00\x01\x00\x00\x00"
    assert content.count(layout + b"\x01") == 1
    (tmp_path / "deep.tif").write_bytes(content.replace(layout + b"\x01", layout + b"\x02"))
    with pytest.raises(ImageError, match=r"deep\.tif"):
        read_photograph(tmp_path / "deep.tif")


def test_jpeg_keeps_the_colour_of_a_thin_line():
    pixels = np.full((64, 64, 3), (150, 60, 20), np.uint8)
    pixels[:, 32] = (0, 170, 255)
    read = np.asarray(Image.open(io.BytesIO(encode_jpeg(pixels))))
    assert np.abs(read[:, 32].astype(int) - (0, 170, 255)).max() < 30


@pytest.mark.slow
def test_a_large_photograph_is_read(tmp_path):
    Image.new("RGB", (10000, 6000), (120, 60, 20)).save(tmp_path / "a.jpg")
    assert read_photograph(tmp_path / "a.jpg").shape == (6000, 10000, 3)


def test_a_photograph_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held a quarter turn to the left
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_photograph(tmp_path / "a.png"), np.rot90(RGB, -1))


def test_masks_keep_their_codes(tmp_path):
    codes = (RGB[..., 0] % 3).astype(np.uint8)
    palette = Image.fromarray(codes)
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    palette.save(tmp_path / "palette.png")
    Image.fromarray(codes).save(tmp_path / "grey.png")
    Image.fromarray(np.repeat(codes[..., None], 3, 2)).save(tmp_path / "colour.png")
    Image.fromarray(codes.astype(np.uint16)).save(tmp_path / "deep.png")
    for name in ("palette", "grey", "colour", "deep"):
        assert np.array_equal(read_mask(tmp_path / f"{name}.png"), codes), name
    Image.fromarray(codes > 0).save(tmp_path / "bit.png")
    assert np.array_equal(read_mask(tmp_path / "bit.png"), (codes > 0) * 255)


def palette_mask(path, indices, colours):
    picture = Image.fromarray(indices)
    picture.putpalette([value for colour in colours for value in colour])
    picture.save(path)


BLACK, GREY, WHITE, RED = (0, 0, 0), (128, 128, 128), (255, 255, 255), (255, 0, 0)
DISC = np.zeros((12, 14), np.uint8)
DISC[2:9, 3:11] = 1
NESTED = DISC.copy()
NESTED[4:7, 5:8] = 2


@pytest.mark.parametrize(
    ("indices", "colours", "expected"),
    [
        (1 - DISC, [WHITE, BLACK], DISC * 255),
        (2 - NESTED, [WHITE, GREY, BLACK], np.array([0, 128, 255])[NESTED]),
        (NESTED, [BLACK, GREY, WHITE], np.array([0, 128, 255])[NESTED]),
        (NESTED, [BLACK, RED, (0, 255, 0)], NESTED),
        (DISC, [WHITE, RED], DISC),
        (NESTED, [BLACK, BLACK, BLACK], NESTED),
    ],
)
def test_a_grey_palette_is_read_through_and_a_coloured_one_gives_its_indices(tmp_path, indices, colours, expected):
    palette_mask(tmp_path / "a.png", indices.astype(np.uint8), colours)
    assert np.array_equal(read_mask(tmp_path / "a.png"), expected)


@pytest.mark.parametrize("colours", [[RED, BLACK], [RED, WHITE]])
def test_a_coloured_palette_without_its_background_at_0_is_refused(tmp_path, colours):
    palette_mask(tmp_path / "a.png", 1 - DISC, colours)
    with pytest.raises(ImageError, match=r"index 0.*\(255, 0, 0\).*a\.png"):
        read_mask(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["RGB", "RGBA", "16 bits"])
def test_a_mask_whose_channels_differ_is_refused(tmp_path, kind):
    red = np.stack([(NESTED == 1), (NESTED == 2), NESTED > 2], axis=2) * np.uint8(255)
    if kind == "16 bits":
        cv2.imwrite(str(tmp_path / "a.png"), red.astype(np.uint16) * 257)
    else:
        Image.fromarray(red).convert(kind).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"channels differ.*a\.png"):
        read_mask(tmp_path / "a.png")


def test_a_mask_drawn_by_transparency_alone_is_refused(tmp_path):
    Image.fromarray(np.dstack([np.full((*DISC.shape, 3), 255, np.uint8), DISC * 255])).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"transparency.*a\.png"):
        read_mask(tmp_path / "a.png")


def test_codes_of_a_deep_colour_mask_are_kept(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), NESTED.astype(np.uint16)[..., None].repeat(3, 2))
    assert np.array_equal(read_mask(tmp_path / "a.png"), NESTED)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["grey", "bit", "palette", "colour", "deep", "grey.tif"])
def test_a_mask_is_turned_as_its_photograph_is(tmp_path, orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.dstack([DISC * 255] * 3)).save(tmp_path / "photograph.png", exif=exif)
    mask = {
        "bit": Image.fromarray(DISC > 0),
        "palette": Image.fromarray(1 - DISC),
        "colour": Image.fromarray(np.dstack([DISC * 255] * 3)),
        "deep": Image.fromarray(DISC.astype(np.uint16) * 65535),
    }.get(kind, Image.fromarray(DISC * 255))
    if kind == "palette":
        mask.putpalette([*WHITE, *BLACK])
    name = kind if "." in kind else f"{kind}.png"
    mask.save(tmp_path / name, exif=exif)
    assert np.array_equal(read_mask(tmp_path / name), read_photograph(tmp_path / "photograph.png")[..., 0])


KINDS = [("jpg", "JPEG", {}), ("jpg", "JPEG", {"progressive": True}), ("png", "PNG", {})]


@pytest.mark.parametrize(("suffix", "kind", "options"), KINDS)
def test_a_truncated_file_never_gives_other_pixels(tmp_path, suffix, kind, options):
    path, whole = tmp_path / f"a.{suffix}", encoded(kind, **options)
    path.write_bytes(whole)
    expected = read_photograph(path)
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        # A PNG that lacks only its closing marks holds every pixel.
        if kind == "PNG" and len(whole) - length <= 20:
            assert np.array_equal(read_photograph(path), expected)
        else:
            with pytest.raises(ImageError, match=f"a.{suffix}"):
                read_photograph(path)
            with pytest.raises(ImageError, match=f"a.{suffix}"):
                read_mask(path)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\xff\xd8\xff"])
def test_a_file_that_is_no_picture_is_named(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=r"cannot be decoded.*a\.jpg"):
        read_photograph(tmp_path / "a.jpg")


def test_a_broken_exif_block_is_named(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / "a.webp", exif=exif, lossless=True)
    content = (tmp_path / "a.webp").read_bytes()
    assert content.count(b"II*\0") + content.count(b"MM\0*") == 1
    (tmp_path / "a.webp").write_bytes(content.replace(b"II*\0", b"I+*\0").replace(b"MM\0*", b"M+\0*"))
    for read in (read_photograph, read_mask):
        with pytest.raises(ImageError, match=r"cannot be decoded.*a\.webp"):
            read(tmp_path / "a.webp")


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "GIF", "JPEG", "WEBP", "BMP"])
def test_mutated_files_give_pixels_or_one_sentence(tmp_path, kind):
    generator = np.random.default_rng(0)
    stream = io.BytesIO()
    Image.fromarray(RGB).convert("P" if kind == "GIF" else "RGB").save(stream, kind)
    whole = np.frombuffer(stream.getvalue(), np.uint8)
    for _ in range(60):
        broken = whole.copy()
        broken[generator.integers(0, min(200, whole.size), 3)] = generator.integers(0, 256, 3)
        (tmp_path / "a").write_bytes(broken.tobytes()[: generator.integers(whole.size // 2, whole.size + 1)])
        for read in (read_photograph, read_mask, count_pages):
            with contextlib.suppress(ImageError):
                read(tmp_path / "a")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"no file at .*b\.jpg"):
        read_photograph(tmp_path / "b.jpg")


def test_the_pages_of_a_tiff_file(tmp_path):
    pages = [np.full((6, 8), value, np.uint8) for value in (3, 90, 255)]
    first, *rest = (Image.fromarray(page) for page in pages)
    first.save(tmp_path / "a.tif", save_all=True, append_images=rest)
    assert count_pages(tmp_path / "a.tif") == 3
    for number, page in enumerate(pages):
        assert np.array_equal(read_mask(tmp_path / "a.tif", number), page)
        assert np.array_equal(read_photograph(tmp_path / "a.tif", number)[..., 2], page)
    with pytest.raises(ImageError, match=r"a\.tif"):
        read_mask(tmp_path / "a.tif", 3)
    with pytest.raises(ImageError, match=r"no file at .*b\.tif"):
        count_pages(tmp_path / "b.tif")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Image.fromarray(RGB), RGB),
        (Image.fromarray(RGB[..., 0]), RGB[..., [0, 0, 0]]),
        (Image.fromarray(np.dstack([RGB, RGB[..., 0]])), RGB),
        (Image.fromarray(RGB[..., 0].astype(np.uint16) * 257), RGB[..., [0, 0, 0]]),
        (RGB, RGB),
        (RGB[..., 0], RGB[..., [0, 0, 0]]),
        (RGB[..., :1], RGB[..., [0, 0, 0]]),
        (np.dstack([RGB, RGB[..., 0]]), RGB),
        (RGB.astype(np.uint16) * 257, RGB),
        (np.dstack([(RGB // 16).astype(np.uint16) * 273, np.full((24, 30), 65535, np.uint16)]), RGB // 16 * 17),
        (RGB[::-1, ::-1], RGB[::-1, ::-1]),
    ],
)
def test_what_is_a_photograph_without_a_doubt_is_taken(given, expected):
    assert np.array_equal(as_photograph(given)[0], expected)


def test_a_photograph_in_memory_reads_as_its_file(tmp_path):
    deep = np.random.default_rng(1).integers(0, 4096, (24, 30, 3)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep[..., ::-1])
    (pixels, light), (of_file, light_of_file) = as_photograph(deep), read_with_light(tmp_path / "deep.png")
    assert np.array_equal(pixels, of_file) and light == light_of_file == pytest.approx(1 / 16, abs=1e-4)
    with Image.open(tmp_path / "deep.png") as opened, pytest.raises(ImageError, match=r"more than 8 bits.*read_photo"):
        as_photograph(opened)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as opened:
        assert np.array_equal(as_photograph(opened)[0], read_photograph(tmp_path / "turned.png"))


def test_a_photograph_as_it_should_be_is_not_copied():
    assert np.shares_memory(as_photograph(RGB)[0], RGB)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (RGB / 255, r"float64 numbers.*255 \* pixels"),
        (RGB > 0, "bool numbers"),
        (RGB.astype(np.int64), "int64 numbers"),
        (RGB.transpose(2, 0, 1), r"shape \(3, 24, 30\).*transpose\(1, 2, 0\)"),
        (RGB[None], r"shape \(1, 24, 30, 3\).*one photograph at a time"),
        (RGB[:0], r"shape \(0, 30, 3\)"),
        ("eye.png", "a str as photograph.*read_photograph"),
        ([[1, 2]], "a list as photograph"),
        (torch.from_numpy(RGB), r"a Tensor as photograph.*permute\(1, 2, 0\)"),
        (Image.fromarray(RGB[..., 0].astype(np.float32)), "float32 numbers"),
    ],
)
def test_what_could_be_meant_otherwise_is_refused(given, words):
    with pytest.raises(ImageError, match=words):
        as_photograph(given)


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "a\0b.png"])
def test_a_name_that_no_file_can_have_is_told(name):
    with pytest.raises(ImageError, match="no file at"):
        read_photograph(name)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "deep PNG", "deep TIFF", "turned"])
def test_content_in_memory_is_read_as_its_file_is(tmp_path, kind):
    path = tmp_path / "a.bin"
    if kind.startswith("deep"):
        deep = np.random.default_rng(2).integers(0, 4000, (9, 11, 3), dtype=np.uint16)
        path.write_bytes(cv2.imencode(f".{kind[5:8].lower()}", deep)[1].tobytes())
    elif kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        path.write_bytes(encoded("JPEG", exif=exif))
    else:
        path.write_bytes(encoded(kind))
    (pixels, light), (other, other_light) = read_with_light(path), read_with_light(path.read_bytes())
    assert np.array_equal(pixels, other)
    assert light == other_light
    assert picture_size(path) == picture_size(path.read_bytes())
    assert set(picture_size(path)) == set(pixels.shape[:2])


def test_broken_content_in_memory_says_so_without_its_bytes():
    with pytest.raises(ImageError, match="the photograph; expected"):
        read_with_light(encoded("PNG")[:200])
    with pytest.raises(ImageError, match="cannot be decoded"):
        picture_size(b"nothing")
