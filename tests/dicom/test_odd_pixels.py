"""Pixels that bend the standard: read as they were meant, or refused by name; never other colours."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from fundusseg.dicom import read_frame
from fundusseg.dicom.codestreams import read_codestream, with_colours
from fundusseg.errors import ImageError
from fundusseg.imaging import read_photograph
from tests.support.dicom_objects import OP8, OP16, VL, compressed, dicom_photograph, phantom, write

JPEG_2000_LOSSLESS, JPEG_LS, RLE = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.5"
GREY = phantom()[..., 1]
COLOURS = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)


def palette(indices, tables, entries=256, first=0, bits=16, **more):
    dataset = dicom_photograph(indices, VL, kind="PALETTE COLOR", **more)
    for channel, name in enumerate(("Red", "Green", "Blue")):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [entries, first, bits])
        setattr(dataset, f"{name}PaletteColorLookupTableData", tables[channel])
    return dataset


def words(scale: int = 1, order: str = "<") -> list[bytes]:
    return [(COLOURS[:, channel].astype(f"{order}u2") * scale).astype(f"{order}u2").tobytes() for channel in range(3)]


ODD = [c.tobytes() + b"\0" for c in COLOURS[:255].T]
PALETTES = {
    "8 bits in entries of 16": (words(), {}),
    "times 256": (words(256), {}),
    "said to be 8 bits, in words": (words(), {"bits": 8}),
    "an odd number of entries": (ODD, {"entries": 255, "bits": 8}),
    "big endian": (words(257, ">"), {"syntax": "1.2.840.10008.1.2.2"}),
}


@pytest.mark.parametrize("how", PALETTES)
def test_palettes_of_every_form_give_their_colours(tmp_path, how):
    tables, more = PALETTES[how]
    indices = np.minimum(GREY, 254)
    path = write(palette(indices, tables, **more), tmp_path / "a")
    assert np.array_equal(read_photograph(path), COLOURS[indices])


def test_a_palette_of_more_than_256_colours_of_8_bits(tmp_path):
    many = np.random.default_rng(1).integers(0, 256, (4096, 3), np.uint8)
    indices = (GREY.astype(np.uint16) * 16) + 1000
    dataset = palette(indices, [column.tobytes() for column in many.T], 4096, 1000, 8)
    assert np.array_equal(read_photograph(write(dataset, tmp_path / "a")), many[indices - 1000])


def test_a_palette_that_is_shorter_than_it_says_is_refused(tmp_path):
    with pytest.raises(ImageError, match="a palette of 10 bytes for 256 colours"):
        read_photograph(write(palette(GREY, [bytes(10)] * 3), tmp_path / "a"))


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", RLE])
def test_bits_at_the_upper_end_are_brought_down(tmp_path, syntax):
    """12 bits that end at bit 15, with garbage in the four below."""
    twelve = GREY.astype(np.uint16) * 16 + 5
    noise = np.random.default_rng(0).integers(0, 16, GREY.shape, np.uint16)
    plain = syntax if syntax != RLE else "1.2.840.10008.1.2.1"
    dataset = dicom_photograph(twelve * 16 + noise, OP16, plain, bits=12, HighBit=15)
    if syntax == RLE:
        dataset.HighBit = 11  # which is what its encoder takes
        compressed(dataset, RLE)
        dataset.HighBit = 15
    pixels, bits = read_frame(write(dataset, tmp_path / "a"))
    assert bits == 12 and np.array_equal(pixels, twelve)


def test_overlays_in_the_unused_upper_bits_are_no_light(tmp_path):
    twelve = GREY.astype(np.uint16) * 16
    dataset = dicom_photograph(twelve | 0xF000, OP16, bits=12)
    pixels, bits = read_frame(write(dataset, tmp_path / "a"))
    assert bits == 12 and np.array_equal(pixels, twelve)


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_fewer_bits_than_eight_are_all_of_the_light(tmp_path, kind):
    six = GREY // 4
    dataset = dicom_photograph(63 - six if kind == "MONOCHROME1" else six, kind=kind, bits=6)
    found = read_photograph(write(dataset, tmp_path / "a"))[..., 0].astype(int)
    assert np.abs(found - GREY).max() <= 4 and np.array_equal(found, six.astype(int) * 255 // 63)


@pytest.mark.parametrize(("bits", "high"), [(12, 16), (12, 10), (8, 200)])
def test_bits_that_end_nowhere_are_refused(tmp_path, bits, high):
    deep = GREY.astype(np.uint16) * 16
    with pytest.raises(ImageError, match=f"{bits} bits that end at bit {high} of 16"):
        read_frame(write(dicom_photograph(deep, OP16, bits=bits, HighBit=high), tmp_path / "a"))


@pytest.mark.parametrize("syntax", [JPEG_2000_LOSSLESS, JPEG_LS])
def test_compressed_bits_are_those_that_file_and_codestream_agree_on(tmp_path, syntax):
    twelve = GREY.astype(np.uint16) * 16
    dataset = compressed(dicom_photograph(twelve, OP16, bits=12), syntax)
    dataset.BitsStored, dataset.HighBit = 16, 15
    pixels, bits = read_frame(write(dataset, tmp_path / "a"))
    assert bits == 12 and np.array_equal(pixels, twelve)
    dataset = compressed(dicom_photograph(twelve, OP16), syntax)  # a codestream of 16 bits
    dataset.BitsStored, dataset.HighBit = 12, 11
    pixels, bits = read_frame(write(dataset, tmp_path / "b"))
    assert bits == 12 and np.array_equal(pixels, twelve)
    dataset.BitsStored, dataset.HighBit = 10, 9
    with pytest.raises(ImageError, match=r"numbers up to \d+ where 10 bits are said"):
        read_frame(write(dataset, tmp_path / "c"))
    dataset.BitsStored, dataset.HighBit = 12, 15
    with pytest.raises(ImageError, match="upper bits"):
        read_frame(write(dataset, tmp_path / "d"))


# Lossy JPEG: what the three channels are is said by markers, by the names of the channels, or by the file alone.


def jpeg(luma: bool, mark: str, names: bytes = b"\1\2\3") -> bytes:
    """A JPEG at full resolution whose channels are luma and chroma or not, as ``mark`` says, or nothing."""
    stream = io.BytesIO()
    picture = Image.fromarray(phantom())
    picture.save(stream, "JPEG", quality=97, subsampling=0, **({} if luma else {"keep_rgb": True}))
    content = stream.getvalue()
    bare = with_colours(content, luma)
    adobe, rest = bare[2:18], bare[18:]
    at = rest.index(b"\xff\xc0") + 10  # the channels in the frame's head, and again in the scan's
    scan = rest.index(b"\xff\xda") + 5
    rest = bytearray(rest)
    for number, name in enumerate(names):
        rest[at + 3 * number] = name
        rest[scan + 2 * number] = name
    jfif = b"\xff\xe0\x00\x10JFIF\0\1\1\0\0\1\0\1\0\0"
    return b"\xff\xd8" + {"adobe": adobe, "jfif": jfif, "none": b""}[mark] + bytes(rest)


JPEGS = [
    (False, "none", b"\1\2\3", "RGB"),
    (False, "none", b"RGB", "RGB"),
    (False, "none", b"RGB", "YBR_FULL_422"),
    (False, "adobe", b"\1\2\3", "RGB"),
    (False, "adobe", b"\1\2\3", "YBR_FULL_422"),
    (True, "none", b"\1\2\3", "YBR_FULL_422"),
    (True, "none", b"\0\1\2", "YBR_FULL"),
    (True, "adobe", b"\1\2\3", "RGB"),
    (True, "adobe", b"\1\2\3", "YBR_FULL_422"),
    (True, "jfif", b"\1\2\3", "RGB"),
    (True, "jfif", b"\1\2\3", "YBR_FULL"),
]


@pytest.mark.parametrize(("luma", "mark", "names", "kind"), JPEGS)
def test_the_colours_of_a_jpeg_are_what_it_says_itself_or_else_what_its_file_says(tmp_path, luma, mark, names, kind):
    content = jpeg(luma, mark, names)
    dataset = dicom_photograph(phantom(), kind=kind)
    dataset.PixelData = encapsulate([content + b"\0" * (len(content) % 2)])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.50")
    found = read_photograph(write(dataset, tmp_path / "a")).astype(int)
    assert np.abs(found - phantom()).mean() < 2.0


@pytest.mark.parametrize(("kind", "turned"), [("YBR_RCT", False), ("YBR_FULL", True)])
def test_jpeg_2000_whose_colours_contradict_its_file_is_refused(tmp_path, kind, turned):
    dataset = compressed(dicom_photograph(phantom(), OP8), JPEG_2000_LOSSLESS)
    plain = read_photograph(write(dataset, tmp_path / "a"))
    assert np.array_equal(plain, phantom())
    content = (tmp_path / "a").read_bytes()
    at = content.index(b"\xff\x52\x00\x0c") + 8
    assert content[at] == 0  # pydicom's encoder leaves RGB as it is
    dataset.PhotometricInterpretation = kind
    write(dataset, tmp_path / "b")
    content = bytearray((tmp_path / "b").read_bytes())
    content[content.index(b"\xff\x52\x00\x0c") + 8] = int(turned)
    (tmp_path / "b").write_bytes(content)
    with pytest.raises(ImageError, match="colour transform of its own"):
        read_photograph(tmp_path / "b")


def test_a_jpeg_of_very_many_scans_is_refused_before_it_is_decoded(tmp_path):
    """Each scan of a progressive JPEG passes over all pixels: 60 KB of them take minutes."""
    stream = io.BytesIO()
    Image.fromarray(phantom()).save(stream, "JPEG", progressive=True)
    content = stream.getvalue()
    assert read_codestream(content) is not None and content.count(b"\xff\xda") > 5
    start = content.rindex(b"\xff\xda")
    bomb = content[:-2] + content[start:-2] * 500 + b"\xff\xd9"
    for number, codestream in enumerate((content, bomb)):
        dataset = dicom_photograph(phantom(), kind="YBR_FULL_422")
        dataset.PixelData = encapsulate([codestream + b"\0" * (len(codestream) % 2)])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.50")
        write(dataset, tmp_path / str(number))
    assert read_photograph(tmp_path / "0").shape == phantom().shape
    with pytest.raises(ImageError, match=r"5\d\d scans in a JPEG"):
        read_photograph(tmp_path / "1")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems bound memory otherwise or not at all")
def test_a_lower_bound_of_memory_than_a_decoder_s_own_is_kept(tmp_path):
    """As schedulers set it: only root could raise it, and no photograph would be read."""
    path = write(compressed(dicom_photograph(phantom(0, 64)), JPEG_2000_LOSSLESS), tmp_path / "a")
    program = (
        "import resource, sys\n"
        "from fundusseg.dicom import decoders\n"
        "resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))\n"
        f"decoders.main([{str(path)!r}, '0', {JPEG_2000_LOSSLESS!r}, 'pylibjpeg', '0'])\n"
        "print(resource.getrlimit(resource.RLIMIT_AS)[1] >> 30, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True)
    assert np.array_equal(np.load(io.BytesIO(done.stdout)), phantom(0, 64)) and done.stderr.split() == [b"6"]
