"""Reads damaged DICOM files in a process of its own, which a decoder may not take down; a line for each.

python -m tests.support.dicom_fuzzing SEED COUNT FOLDER
"""

import random
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fundusseg.errors import ImageError
from fundusseg.imaging.archive_files import frame_names, why_no_photograph
from fundusseg.imaging.dicom_files import photograph_header
from fundusseg.imaging.image_files import read_photograph
from tests.support import dicom_objects as made
from tests.support.fuzzing import damaged


def originals(folder: Path) -> Iterator[Path]:
    """A small file of every transfer syntax, grey and colour, with one frame and several."""
    colour, grey = made.phantom(0, 64), made.phantom(0, 64)[..., 1]
    deep = grey.astype(np.uint16) * 257
    for number, syntax in enumerate(("", ".1", ".1.99", ".2")):
        yield made.write(made.dicom_photograph(colour, syntax=f"1.2.840.10008.1.2{syntax}"), folder / f"native{number}")
    for syntax in (".5", ".4.80", ".4.81", ".4.90", ".4.91"):
        dataset = made.dicom_photograph(deep if syntax == ".4.90" else colour, made.OP16)
        yield made.write(made.compressed(dataset, f"1.2.840.10008.1.2{syntax}"), folder / f"compressed{syntax}")
    for syntax in (".51", ".57", ".70"):
        yield made.transcoded(made.dicom_photograph(grey), f"1.2.840.10008.1.2.4{syntax}", folder / f"jpeg{syntax}")
    yield made.write(made.as_jpeg(made.dicom_photograph([colour, colour]), [colour, colour]), folder / "frames")
    twelve = made.dicom_photograph((deep // 16).astype(np.uint16), made.OP16, bits=12)
    yield made.transcoded(twelve, "1.2.840.10008.1.2.4.70", folder / "twelve")


def main(seed: int, count: int, folder: Path) -> None:
    """Print what became of each: ``read``, or the error's kind; then the largest memory in MB."""
    chance = random.Random(seed)
    files = list(originals(folder))
    for number in range(count):
        content = damaged(chance.choice(files).read_bytes(), chance)
        path = folder / f"damaged{number}.dcm"
        path.write_bytes(content)
        print(number, end=" ", flush=True)
        start = time.monotonic()
        try:
            why_no_photograph(path), list(frame_names(path)), photograph_header(path)
            outcome = str(read_photograph(path).shape)
        except ImageError:
            outcome = "refused"
        print(f"{time.monotonic() - start:.2f} {outcome}", flush=True)
        path.unlink()
    # Not ru_maxrss, which counts the parent's memory too: it is carried over from before the program was loaded.
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print("memory", int(peak) // 1024)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
