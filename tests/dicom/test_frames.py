"""Pixels of every class, colour and transfer syntax: lossless ones exact, lossy ones within a stated difference."""

import subprocess

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from fundusseg.dicom import read_frame
from fundusseg.errors import ImageError
from fundusseg.imaging import read_photograph
from fundusseg.imaging.image_files import read_with_light, write_png
from tests.support import htj2k
from tests.support.dicom_objects import (
    JPEG_2000,
    OP8,
    OP16,
    SC,
    SC_BYTE,
    SC_COLOUR,
    SC_WORD,
    VL,
    as_jpeg,
    compressed,
    dicom_photograph,
    phantom,
    transcoded,
    write,
)

JPEG_LS, JPEG_LS_NEAR = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"
JPEG_2000_LOSSLESS, RLE = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"
NATIVE = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"]
LOSSLESS_JPEG = ["1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"]
DEEP = phantom().astype(np.uint16) * 257
GREY = phantom()[..., 1]
GREYS = np.repeat(GREY[..., None], 3, axis=2)


def difference(path, expected, page=0):
    found = read_photograph(path, page)
    assert found.dtype == np.uint8 and found.shape == expected.shape
    return int(np.abs(found.astype(int) - expected).max())


COLOURS = [(sop_class, syntax) for sop_class in (OP8, OP16, VL, SC, SC_COLOUR) for syntax in (*NATIVE, RLE)]
COLOURS += [(OP8, syntax) for syntax in (JPEG_LS, JPEG_2000_LOSSLESS, *LOSSLESS_JPEG)]
COLOURS += [(OP16, JPEG_LS), (OP16, JPEG_2000_LOSSLESS), (SC_COLOUR, JPEG_2000_LOSSLESS)]
"""Every class in what is decoded in this process, and every compression with 8 bits and, where it has them, 16."""


@pytest.mark.parametrize(("sop_class", "syntax"), COLOURS)
def test_lossless_colour_is_exact_in_every_class_and_syntax(tmp_path, sop_class, syntax):
    pixels = DEEP if sop_class == OP16 else phantom()
    native = dicom_photograph(pixels, sop_class, syntax if syntax in NATIVE else NATIVE[1])
    path = tmp_path / "no ending"
    if syntax in LOSSLESS_JPEG:
        transcoded(native, syntax, path)
    else:
        write(native if syntax in NATIVE else compressed(native, syntax), path)
    assert difference(path, phantom()) == 0


GREY_FORMS = [(c, s) for c in (OP8, OP16, VL, SC, SC_BYTE, SC_WORD) for s in (NATIVE[0], NATIVE[2], RLE)]
GREY_FORMS += [(OP16, syntax) for syntax in (JPEG_LS, JPEG_2000_LOSSLESS, LOSSLESS_JPEG[1])]


@pytest.mark.parametrize(("sop_class", "syntax"), GREY_FORMS)
@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_lossless_grey_is_exact_in_every_class_and_syntax(tmp_path, sop_class, syntax, kind):
    pixels = GREY.astype(np.uint16) * 257 if sop_class in (OP16, SC_WORD) else GREY
    pixels = np.iinfo(pixels.dtype).max - pixels if kind == "MONOCHROME1" else pixels
    native = dicom_photograph(pixels, sop_class, syntax if syntax in NATIVE else NATIVE[1], kind)
    path = tmp_path / "IM0001"
    if syntax in LOSSLESS_JPEG:
        transcoded(native, syntax, path)
    else:
        write(native if syntax in NATIVE else compressed(native, syntax), path)
    assert difference(path, GREYS) == 0


@pytest.mark.parametrize(
    ("name", "most", "mean"),
    [("baseline", 20, 2.0), ("extended", 40, 3.0), ("near-lossless JPEG-LS", 3, 2.0), ("JPEG 2000", 10, 1.5)],
)
def test_lossy_syntaxes_stay_within_a_stated_difference(tmp_path, name, most, mean):
    native = dicom_photograph(phantom())
    path = tmp_path / "a"
    if name == "extended":  # by gdcm, which declares RGB and writes luma and coarse chroma
        transcoded(native, "1.2.840.10008.1.2.4.51", path)
    elif name == "baseline":
        write(as_jpeg(native, [phantom()]), path)
    else:
        write(compressed(native, JPEG_LS_NEAR if "LS" in name else JPEG_2000), path)
    assert 0 < difference(path, phantom()) <= most
    assert np.abs(read_photograph(path).astype(int) - phantom()).mean() < mean


@pytest.mark.parametrize(
    ("content", "syntax", "kind", "most"),
    [(htj2k.LOSSLESS, ".201", "YBR_RCT", 0), (htj2k.LOSSY, ".203", "YBR_ICT", 6)],
    ids=["lossless", "lossy"],
)
def test_high_throughput_jpeg_2000(tmp_path, content, syntax, kind, most):
    dataset = dicom_photograph(phantom(0, 32), kind=kind)
    dataset.PixelData = encapsulate([content + b"\0" * (len(content) % 2)])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = UID(f"1.2.840.10008.1.2.4{syntax}")
    assert difference(write(dataset, tmp_path / "a"), phantom(0, 32)) <= most


def test_twelve_bits_are_read_as_those_of_any_other_file(tmp_path):
    """As PNG holds the same numbers: equal pixels; of the light, DICOM says how many bits there are."""
    twelve = GREY.astype(np.uint16) * 16
    path = write(dicom_photograph(twelve, OP16, bits=12), tmp_path / "a")
    write_png(tmp_path / "a.png", twelve)
    pixels, light = read_with_light(path)
    assert np.array_equal(pixels, read_photograph(tmp_path / "a.png")) and light == 1.0
    path = transcoded(dicom_photograph(twelve, OP16, bits=12), LOSSLESS_JPEG[1], tmp_path / "b")
    assert np.array_equal(pixels, read_photograph(path))


@pytest.mark.parametrize("kind", ["YBR_FULL", "YBR_FULL_422"])
def test_luma_and_chroma_become_red_green_blue(tmp_path, kind):
    from pydicom.pixels import convert_color_space

    luma = convert_color_space(phantom(), "RGB", "YBR_FULL")
    dataset = dicom_photograph(luma, kind=kind)
    if kind == "YBR_FULL_422":  # two lumas, then the chroma that they share
        shared = np.stack([luma[:, 0::2, 0], luma[:, 1::2, 0], luma[:, 0::2, 1], luma[:, 0::2, 2]], axis=2)
        dataset.PixelData = shared.tobytes()
    found = read_photograph(write(dataset, tmp_path / "a")).astype(int)
    assert np.abs(found - phantom()).mean() < (1.0 if kind == "YBR_FULL" else 3.0)


def test_planes_one_after_the_other(tmp_path):
    dataset = dicom_photograph(phantom(), PlanarConfiguration=1)
    dataset.PixelData = np.moveaxis(phantom(), 2, 0).tobytes()
    assert difference(write(dataset, tmp_path / "a"), phantom()) == 0


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_is_read_through(tmp_path, bits):
    colours = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)
    indices = GREY
    dataset = dicom_photograph(indices, VL, kind="PALETTE COLOR")
    for channel, name in enumerate(("Red", "Green", "Blue")):
        table = colours[:, channel].astype(np.uint16) * (257 if bits == 16 else 1)
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [256, 0, bits])
        setattr(dataset, f"{name}PaletteColorLookupTableData", table.astype("<u2" if bits == 16 else "u1").tobytes())
    assert difference(write(dataset, tmp_path / "a"), colours[indices]) == 0


@pytest.mark.parametrize("how", ["native", "rle", "jpeg", "extended offsets"])
def test_every_frame_is_its_own(tmp_path, how):
    frames = [phantom(number) for number in range(3)]
    dataset = dicom_photograph(frames)
    if how == "jpeg":
        as_jpeg(dataset, frames)
    elif how != "native":
        dataset.compress(UID(RLE), encapsulate_ext=how == "extended offsets", generate_instance_uid=False)
    path = write(dataset, tmp_path / "a")
    most = 20 if how == "jpeg" else 0
    assert all(difference(path, frame, page) <= most for page, frame in enumerate(frames))
    dataset.NumberOfFrames = 5
    with pytest.raises(ImageError, match="cannot be decoded"):
        read_photograph(write(dataset, tmp_path / "b"), 4)
    with pytest.raises(ImageError, match=r"frame 4 of .*1 to 3"):
        read_photograph(path, 3)


def test_a_bare_dataset_without_preamble_is_read_by_its_ending(tmp_path):
    for implicit in (True, False):
        dataset = dicom_photograph(phantom(), syntax=NATIVE[0] if implicit else NATIVE[1])
        content = write(dataset, tmp_path / "whole").read_bytes()
        length = int.from_bytes(content[140:144], "little")
        (tmp_path / "bare.dcm").write_bytes(content[144 + length :])
        assert difference(tmp_path / "bare.dcm", phantom()) == 0


REFUSED = {
    "no such size": ({"Rows": 0}, "pixels"),
    "a bomb": ({"Rows": 65535, "Columns": 65535}, "65535 x 65535 pixels"),
    "signed": ({"PixelRepresentation": 1}, "signed"),
    "32 bits": ({"BitsAllocated": 32, "BitsStored": 32}, "32 bits"),
    "no colour": ({"PhotometricInterpretation": "CMYK"}, "samples of CMYK"),
    "two samples": ({"SamplesPerPixel": 2}, "2 samples"),
    "a film": ({"NumberOfFrames": 100000}, "100000 frames"),
    "more rows than there are": ({"Rows": 300}, "cannot be decoded"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_camera_writes_is_refused_in_a_sentence(tmp_path, what):
    elements, sentence = REFUSED[what]
    path = write(dicom_photograph(phantom(), **elements), tmp_path / "a")
    with pytest.raises(ImageError, match=sentence):
        read_frame(path)


@pytest.mark.parametrize("syntax", [RLE, JPEG_LS, JPEG_2000_LOSSLESS])
def test_a_codestream_of_another_size_than_its_file_says_is_refused(tmp_path, syntax):
    dataset = compressed(dicom_photograph(phantom()), syntax)
    dataset.Rows = 16
    with pytest.raises(ImageError, match="cannot be decoded"):
        read_frame(write(dataset, tmp_path / "a"))


def test_a_deflated_bomb_is_refused(tmp_path, monkeypatch):
    from fundusseg.dicom import dataset_files

    monkeypatch.setattr(dataset_files, "LARGEST_INFLATED", 1 << 20)
    zeros = np.zeros((600, 600, 3), np.uint8)
    path = write(dicom_photograph(zeros, syntax=NATIVE[3]), tmp_path / "a")
    assert path.stat().st_size < 10_000
    content = path.read_bytes()
    for length in (content[140:144], bytes(4), b"\4\0\0\0", b"\xff" * 4):  # what the file says of its own head
        with pytest.raises(ImageError, match="inflates to more than 1 MB"):
            read_frame(content[:140] + length + content[144:])


@pytest.mark.parametrize("name", ["102", "110"], ids=["MPEG-4", "JPEG XL"])
def test_a_syntax_that_nothing_here_decodes_is_named(tmp_path, name):
    dataset = as_jpeg(dicom_photograph(phantom()), [phantom()])
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.102")
    path = write(dataset, tmp_path / "a")
    path.write_bytes(path.read_bytes().replace(b"1.2.4.102", f"1.2.4.{name}".encode()))
    with pytest.raises(ImageError, match=r"MPEG-4|JPEG XL|1\.2\.4\.110"):
        read_frame(path)


def test_a_file_cut_anywhere_is_never_half_a_picture(tmp_path):
    content = write(dicom_photograph(phantom()), tmp_path / "a").read_bytes()
    for length in (0, 100, 131, 132, 200, 700, 2000, len(content) // 2, len(content) - 1):
        (tmp_path / "cut.dcm").write_bytes(content[:length])
        with pytest.raises(ImageError):
            read_photograph(tmp_path / "cut.dcm")


def test_dcmtk_reads_the_same_pixels(tmp_path, dcmtk):
    path = write(compressed(dicom_photograph(phantom()), RLE), tmp_path / "a")
    subprocess.run([dcmtk("dcm2pnm"), "+on", path, tmp_path / "a.png"], check=True, capture_output=True)
    assert np.array_equal(read_photograph(path), read_photograph(tmp_path / "a.png"))
