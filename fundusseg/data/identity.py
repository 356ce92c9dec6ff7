"""What a picture is recognised by, whatever it is called and wherever it lies: its own digests, without the masks."""

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np

from fundusseg.imaging.image_files import as_pillow
from fundusseg.sample import Image, Record

_SIDE, _BITS = 64, 16


@dataclass(frozen=True, slots=True)
class Identity:
    """Digests of one picture; none of them can be found by trying out names.

    Attributes:
        files: 16 hexadecimal digits of the bytes of the picture and its annotations: the very same files.
        pixels: 16 hexadecimal digits of the decoded picture: the same picture with other masks, or saved without loss.
        perceptual_hash: 64 hexadecimal digits of the decoded picture: saved or scaled anew, it changes a few of their
            256 bits; see `fundusseg.data.seen_patients.PERCEPTUAL_DISTANCE`.
    """

    files: str
    pixels: str = ""
    perceptual_hash: str = ""


def identify(record: Record, image: Image) -> Identity:
    """The digests of a picture.

    Args:
        record: Names the files.
        image: H x W x 3 uint8, decoded by the dataset's reader.
    """
    # With the shape: the same bytes at another width are another picture.
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).data)
    pixels = digest.hexdigest()[:16]
    return Identity(files_digest(record) or pixels, pixels, _perceptual_hash(image))


def files_digest(record: Record) -> str:
    """Digest of the bytes of a picture's files, whatever they are called; empty where it is made, not read."""
    files = [file for file in (record.image, *record.files.values()) if file.is_file()]
    total = hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files))
    return total.hexdigest()[:16] if files else ""


def _perceptual_hash(image: Image) -> str:
    """256 bits of the discrete cosine transform of the whole picture in grey (Zauner 2010, pHash)."""
    # Who only compares, a model card or an evaluation of known files, does not load it.
    import imagehash

    small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    bits = imagehash.phash(as_pillow(np.asarray(small, np.uint8)), hash_size=_BITS, highfreq_factor=_SIDE // _BITS).hash
    return np.packbits(bits.ravel()).tobytes().hex()
