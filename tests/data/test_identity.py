"""A picture is recognised whatever it is called, with other masks, saved or resized anew; no other picture is."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fundusseg.data.identity import identify
from fundusseg.data.seen_patients import PERCEPTUAL_DISTANCE, hash_bits
from fundusseg.datasets import DrishtiGS, Phantom
from fundusseg.sample import Record

PICTURES = [Phantom(count=24, size=256)[number].image for number in range(24)]


def record(folder: Path, name: str = "a") -> Record:
    return Record("x", name, folder / f"{name}.png", name, ("disc",), files={"disc": folder / f"{name}_disc.png"})


def distance(one: str, two: str) -> int:
    return int(np.bitwise_count(hash_bits([one]) ^ hash_bits([two])).sum())


def test_files_pixels_and_look_each_answer_their_own_question(tmp_path):
    one = record(tmp_path)
    cv2.imwrite(str(one.image), PICTURES[0])
    (tmp_path / "a_disc.png").write_bytes(b"mask")
    first = identify(one, PICTURES[0])
    assert [len(first.files), len(first.pixels), len(first.perceptual_hash)] == [16, 16, 64]
    (tmp_path / "a_disc.png").write_bytes(b"drawn anew")
    again = identify(one, PICTURES[0])
    assert again.files != first.files and (again.pixels, again.perceptual_hash) == (first.pixels, first.perceptual_hash)
    other = identify(one, PICTURES[1])
    assert other.files == again.files and other.pixels != again.pixels
    assert distance(other.perceptual_hash, first.perceptual_hash) > PERCEPTUAL_DISTANCE


def test_a_made_picture_is_known_by_its_pixels_and_never_by_its_name(tmp_path):
    made = record(tmp_path)
    assert identify(made, PICTURES[0]) == identify(replace(made, name="smith", patient="4711"), PICTURES[0])


def copies(picture: np.ndarray) -> list[np.ndarray]:
    """Saved as JPEG, resized, both, and turned into another shape."""
    saved = [cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, q])[1], 1) for q in (95, 40)]
    small = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return [*saved, small, cv2.imdecode(cv2.imencode(".jpg", small)[1], 1), cv2.resize(picture, (200, 300))]


def check(pictures: list[np.ndarray]) -> None:
    hashes = [identify(record(Path("nowhere")), picture).perceptual_hash for picture in pictures]
    for one, picture in zip(hashes, pictures, strict=True):
        for copy in copies(picture):
            assert distance(one, identify(record(Path("nowhere")), copy).perceptual_hash) <= PERCEPTUAL_DISTANCE
    for number, one in enumerate(hashes):
        assert min(distance(one, other) for other in hashes[:number] + hashes[number + 1 :]) > PERCEPTUAL_DISTANCE


def test_copies_look_alike_and_others_do_not():
    check(PICTURES)


@pytest.mark.realdata
@pytest.mark.slow
def test_copies_of_real_photographs_look_alike_and_others_do_not(realdata):
    dataset = DrishtiGS(realdata / "Drishti-GS1_files")
    check([dataset.photograph(one) for one in dataset.records[:12]])
