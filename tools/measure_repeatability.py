"""Measure how a bundle's measures differ between photographs of one eye, and how well these are laid over each other.

    python tools/measure_repeatability.py --origa FOLDER --optic_disc_seg FOLDER --photographs 60 --output repeatability
    python tools/measure_repeatability.py --pairs pairs.csv --output repeatability

Two kinds of repetition: near-duplicates, photographs of one eye that a set holds twice (found as `prepare` finds them:
perceptual hash, confirmed by correlation; or a site's own pairs, a CSV file with the columns ``first`` and
``second``), and photographs taken anew by simulation: shift, turn, scale, light, blur, noise, JPEG. Of each measure the
within-eye standard deviation and the smallest detectable change are written to repeatability.csv, which `predict
--repeatability` takes; of each simulated photograph, whose true place is known, the error of the alignment to
alignment.csv, with a contact sheet.
"""

import argparse
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fundusseg.data.duplicates import VIEW, VIEW_SCALE, find_duplicates, perceptual_hashes
from fundusseg.imaging.csv_files import read_rows
from fundusseg.imaging.image_files import encode_jpeg, read_mask, read_photograph, write_png
from fundusseg.imaging.roi import crop, disc_box
from fundusseg.inference.prediction import Prediction
from fundusseg.inference.predictor import Predictor
from fundusseg.measures.repeatability import DISC_AREA, HOURS, MEASURES, REACH, within_eye_sd
from fundusseg.measures.rim import clock_hours, rim_profile
from fundusseg.patients.alignment import SIDE, Alignment, Disc, align, into_crop
from fundusseg.reports.files import write_csv
from fundusseg.sample import Image

Matrix = npt.NDArray[np.float64]

SAVED_ANEW = "saved_anew"
"""Kind of a pair that is one photograph in two files."""

SAME_FIELD = 0.15
"""Logarithm of the scale between two photographs up to which they are of one field and camera."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A photograph with its prediction.

    Attributes:
        image: H x W x 3 uint8 RGB.
        prediction: Of it.
    """

    image: Image
    prediction: Prediction

    @property
    def disc(self) -> Disc:
        """Where the disc was found."""
        return Disc.of(self.prediction.label_map)


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--origa", type=Path, help="Folder with images/ and masks/ of discs.")
    parser.add_argument("--optic_disc_seg", type=Path, help="Folder with JPEGImages/ and Annotations/.")
    parser.add_argument("--pairs", type=Path, help="A site's own: CSV with the columns first and second.")
    parser.add_argument("--checkpoint", help="A bundle or checkpoint [the package's own].")
    parser.add_argument("--photographs", type=int, default=60, help="That are taken anew by simulation.")
    parser.add_argument("--times", type=int, default=3, help="Simulated photographs of each.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("repeatability"))
    return parser.parse_args()


def rephotograph(image: Image, random: np.random.Generator) -> tuple[Image, Matrix]:
    """Take a photograph anew: another place, turn, scale, light, focus and compression.

    Args:
        image: H x W x 3 uint8 RGB.
        random: Where chance comes from.

    Returns:
        A photograph of the same size, and the 3 x 3 matrix from its pixels to the first one's.
    """
    height, width = image.shape[:2]
    side = max(height, width)
    turn, scale = random.normal(0, 2.5), math.exp(random.normal(0, 0.03))
    there = np.vstack([cv2.getRotationMatrix2D((width / 2, height / 2), turn, scale), [0, 0, 1]])
    there[:2, 2] += random.normal(0, 0.03 * side, 2)
    moved = cv2.warpAffine(image, there[:2], (width, height), flags=cv2.INTER_LINEAR).astype(np.float32)
    rows, columns = np.mgrid[:height, :width] / side - 0.5
    slope = random.normal(0, 0.15, 2)
    light = math.exp(random.normal(0, 0.12)) * (1 + slope[0] * rows + slope[1] * columns)
    gamma, white = math.exp(random.normal(0, 0.08)), np.exp(random.normal(0, 0.03, 3))
    lit = 255 * np.clip(moved / 255 * light[..., None] * white, 0, 1) ** gamma
    soft = cv2.GaussianBlur(lit, (0, 0), side / 1000 * random.uniform(0.3, 1.5))
    noisy = soft + random.normal(0, random.uniform(0, 3), soft.shape)
    code = encode_jpeg(np.clip(noisy, 0, 255).astype(np.uint8), quality=int(random.integers(70, 96)))
    again = cv2.imdecode(np.frombuffer(code, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    return np.ascontiguousarray(again), np.linalg.inv(there)


def near_duplicates(images: Sequence[Path], masks: Sequence[Path]) -> list[tuple[Path, Path, float]]:
    """Pairs of photographs of one eye, with their correlation, as `prepare` finds them."""
    views = []
    for image, mask in zip(images, masks, strict=True):
        disc = read_mask(mask) > 0
        box = disc_box(disc, VIEW_SCALE) if disc.any() else None
        picture = read_photograph(image)
        views.append(crop(picture, box, VIEW) if box else np.zeros((VIEW, VIEW, 3), np.uint8))
    hashes = np.stack([perceptual_hashes(view) for view in views])
    found = find_duplicates(hashes, lambda number: views[number], lambda one, other: True)
    return [(images[pair.first], images[pair.second], pair.correlation) for pair in found]


def measures_of(taken: Taken, turn: float = 0.0) -> dict[str, float]:
    """Each of `MEASURES`; the rim's hours on the disc turned back by so many degrees."""
    measures = taken.prediction.measures
    found = {name: getattr(measures, name) for name in MEASURES if hasattr(measures, name)}
    found[DISC_AREA] = math.log(measures.disc_area) if measures.disc_area > 0 else math.nan
    profile = rim_profile(taken.prediction.label_map, taken.prediction.eye).share
    # A left eye's angles run the other way round.
    shift = round(turn if taken.prediction.eye != "OS" else -turn)
    hours = clock_hours(np.roll(profile, shift))
    return found | {name: float(hours[number % 12]) for number, name in enumerate(HOURS, 1)}


class Repetitions:
    """Collects each eye's repeated measurements, and how well its photographs were laid over each other.

    Args:
        predictor: What measures.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.eyes: dict[str, list[list[dict[str, float]]]] = {}
        self.rows: list[dict[str, Any]] = []
        self.alignments: list[dict[str, Any]] = []
        self.tiles: list[Image] = []

    def take(self, image: Image) -> Taken | None:
        """Predict; None where no disc is measured."""
        prediction = self.predictor(image)
        return Taken(image, prediction) if prediction.measures.disc_area > 0 else None

    def add(self, kind: str, name: str, images: Sequence[Image], truths: Sequence[Matrix | None]) -> None:
        """Measure one eye's photographs, all laid over the first."""
        taken = [self.take(image) for image in images]
        first = taken[0]
        if first is None:
            print(f"{name}: no disc measured")
            return
        measured = [measures_of(first)]
        for number, (other, truth) in enumerate(zip(taken[1:], truths, strict=True), 1):
            if other is None:
                print(f"{name}, photograph {number + 1}: no disc measured")
                continue
            alignment = align(first.image, first.disc, other.image, other.disc)
            measured.append(measures_of(other, alignment.turn) | _area(alignment))
            error = alignment_error(alignment, truth, other.disc) if truth is not None else math.nan
            self.alignments.append(
                {
                    "kind": kind,
                    "name": name,
                    "number": number,
                    "marks": alignment.marks,
                    "turn": alignment.turn,
                    "how": alignment.how,
                    "error_pixels": error,
                    "error_disc_diameters": error / first.disc.diameter,
                }
            )
            self.tiles.append(tile(first, other, alignment))
        self.eyes.setdefault(kind, []).append(measured)
        self.rows += [{"kind": kind, "name": name, "number": n} | row for n, row in enumerate(measured)]
        ratios = " ".join(f"{row['vertical_cdr']:.3f}" for row in measured)
        print(f"{kind} {name}: {ratios}", flush=True)

    def table(self) -> list[dict[str, Any]]:
        """A row for each measure: of both kinds together, and of each; a file saved anew is no photograph anew."""
        every = [eye for kind, eyes in self.eyes.items() if kind != SAVED_ANEW for eye in eyes]
        rows = []
        for name in MEASURES:
            sd, freedom = within_eye_sd(np.array([row[name] for row in eye]) for eye in every)
            row = {"measure": name, "within_eye_sd": sd, "smallest_detectable_change": REACH * math.sqrt(2) * sd}
            row |= {"eyes": len(every), "degrees_of_freedom": freedom}
            for kind, eyes in self.eyes.items():
                row[f"sd_{kind}"], _ = within_eye_sd(np.array([row[name] for row in eye]) for eye in eyes)
            rows.append(row)
        return rows


def _area(alignment: Alignment) -> dict[str, float]:
    """No area of a photograph of another field: its pixels are no longer the first one's."""
    scale = math.sqrt(abs(np.linalg.det(alignment.matrix[:2, :2])))
    return {} if abs(math.log(scale)) < SAME_FIELD else {DISC_AREA: math.nan}


def alignment_error(alignment: Alignment, truth: Matrix, disc: Disc) -> float:
    """Root mean square distance of aligned from true places within one disc diameter of its centre, in pixels."""
    angle = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    ring = np.concatenate([radius * np.stack([np.cos(angle), np.sin(angle)]) for radius in (0.25, 0.5, 1.0)], axis=1)
    points = np.vstack([disc.x + disc.diameter * ring[0], disc.y + disc.diameter * ring[1], np.ones(ring.shape[1])])
    apart = (alignment.matrix @ points - truth @ points)[:2]
    return float(np.sqrt(np.square(apart).sum(axis=0).mean()))


def tile(first: Taken, other: Taken, alignment: Alignment) -> Image:
    """Both photographs in squares of one chessboard: vessels go on over its borders where they lie right."""
    reference = crop(first.image, first.disc.square(), SIDE)
    there, here = into_crop(first.disc.square(), SIDE), into_crop(other.disc.square(), SIDE)
    between = there @ alignment.matrix @ np.linalg.inv(here)
    moved = cv2.warpAffine(crop(other.image, other.disc.square(), SIDE), between[:2], (SIDE, SIDE))
    rows, columns = np.mgrid[:SIDE, :SIDE] // (SIDE // 6)
    board = np.where(((rows + columns) % 2 == 0)[..., None], reference, moved).astype(np.uint8)
    board = np.ascontiguousarray(cv2.resize(board, (240, 240), interpolation=cv2.INTER_AREA))
    cv2.putText(board, str(alignment.marks), (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1)
    return board


def contact_sheet(tiles: Sequence[Image], columns: int = 8) -> Image:
    """Tiles in rows."""
    empty = np.zeros_like(tiles[0])
    padded = [*tiles, *[empty] * (-len(tiles) % columns)]
    rows = [np.hstack(padded[start : start + columns]) for start in range(0, len(padded), columns)]
    return np.vstack(rows)


def given_pairs(options: argparse.Namespace) -> Iterator[tuple[str, Path, Path]]:
    """Near-duplicates of the two public sets, and a site's own pairs."""
    sets = [(options.origa, "images", "masks"), (options.optic_disc_seg, "JPEGImages", "Annotations")]
    for folder, images, masks in sets:
        if folder is None:
            continue
        drawn = {path.stem: path for path in sorted((folder / masks).iterdir())}
        files = [path for path in sorted((folder / images).iterdir()) if path.stem in drawn]
        for one, other, value in near_duplicates(files, [drawn[file.stem] for file in files]):
            print(f"near-duplicates: {one.name} and {other.name} (correlation {value:.3f})", flush=True)
            yield (SAVED_ANEW if same_pixels(one, other) else "taken_twice"), one, other
    if options.pairs:
        (_, heading), *rows = read_rows(options.pairs)
        for _, row in rows:
            cells = dict(zip(heading, row, strict=True))
            yield "taken_twice", Path(cells["first"]), Path(cells["second"])


def same_pixels(one: Path, other: Path) -> bool:
    """Whether two files are one photograph, which tells nothing of taking it twice."""
    first, second = read_photograph(one), read_photograph(other)
    return first.shape == second.shape and float(np.abs(first.astype(int) - second).mean()) < 3


def photographs(options: argparse.Namespace) -> list[Path]:
    """Whole photographs to take anew, spread over those of the public sets."""
    folders = [options.origa / "images" if options.origa else None]
    folders.append(options.optic_disc_seg / "JPEGImages" if options.optic_disc_seg else None)
    files = [sorted(folder.iterdir()) for folder in folders if folder]
    random = np.random.default_rng(options.seed)
    mixed = [[own[place] for place in random.permutation(len(own))] for own in files]
    return [file for group in itertools.zip_longest(*mixed) for file in group if file][: options.photographs]


def main() -> None:
    """Measure, and write the tables."""
    options = arguments()
    predictor = Predictor.from_checkpoint(options.checkpoint) if options.checkpoint else Predictor.pretrained()
    repetitions = Repetitions(predictor)
    for kind, one, other in given_pairs(options):
        pair = [read_photograph(one), read_photograph(other)]
        repetitions.add(kind, f"{one.stem} {other.stem}", pair, [None])
    random = np.random.default_rng(options.seed)
    for file in photographs(options):
        again = [rephotograph(read_photograph(file), random) for _ in range(options.times)]
        # All are laid over the first of the simulated ones, as two visits are.
        home = np.linalg.inv(again[0][1])
        truths = [home @ matrix for _, matrix in again[1:]]
        repetitions.add("simulated", file.stem, [image for image, _ in again], truths)
    write_csv(repetitions.rows, options.output / "measurements.csv")
    write_csv(repetitions.table(), options.output / "repeatability.csv")
    write_csv(repetitions.alignments, options.output / "alignment.csv")
    if repetitions.tiles:
        write_png(options.output / "alignment.png", contact_sheet(repetitions.tiles))


if __name__ == "__main__":
    main()
