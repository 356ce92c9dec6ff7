"""Simulate patients of known change and asymmetry: bias, coverage, false alarms and power of what predict says of them.

    python tools/simulate_patients.py --patients 250 --visits 5 --measurements repeatability/measurements.csv

Every eye is drawn at every visit as ellipses of disc and cup in another magnification, and measured as any label map
is. The cup's height carries the measurement's error: with --measurements the real deviations of repeated photographs
from their eye's mean (`measurements.csv` of measure_repeatability.py), drawn by chance, else normal ones. A third of
the eyes is stable, a third changes by 0.1 from the first to the last visit, a third by 0 to 0.25.
"""

import argparse
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fundusseg.imaging.csv_files import read_rows
from fundusseg.inference.run_journal import JournalEntry
from fundusseg.measures.cup_disc import measure
from fundusseg.measures.repeatability import Repeatability
from fundusseg.patients.asymmetry import asymmetry
from fundusseg.patients.change import eye_change
from fundusseg.patients.eyes import Patient, group_patients
from fundusseg.patients.identity import Identities, Identity
from fundusseg.sample import Eye

Numbers = npt.NDArray[np.float64]
EYES: tuple[Eye, Eye] = ("OD", "OS")
SIDE = 260


@dataclass(frozen=True, slots=True)
class Truth:
    """One eye as it is.

    Attributes:
        ratio: Vertical, at the first visit.
        change: From the first to the last visit.
    """

    ratio: float
    change: float


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=250, help="Of two eyes each.")
    parser.add_argument("--visits", type=int, default=5)
    parser.add_argument("--measurements", type=Path, help="Of measure_repeatability.py: real deviations.")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def real_errors(path: Path) -> Numbers:
    """Deviations of the vertical ratio from each eye's mean, made as large as those of single photographs."""
    (_, heading), *rows = read_rows(path)
    eyes: dict[tuple[str, str], list[float]] = {}
    for _, row in rows:
        cells = dict(zip(heading, row, strict=True))
        if cells["vertical_cdr"] and cells["kind"] != "saved_anew":
            eyes.setdefault((cells["kind"], cells["name"]), []).append(float(cells["vertical_cdr"]))
    # The mean of n photographs takes 1/n of the variance with it.
    return np.concatenate(
        [(np.array(own) - np.mean(own)) * (len(own) / (len(own) - 1)) ** 0.5 for own in eyes.values() if len(own) > 1]
    )


def label_map(ratio: float, magnification: float) -> npt.NDArray[np.uint8]:
    """An eye of this vertical ratio: a disc of 160 by 145 pixels, times the magnification."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    height, width = 80 * magnification, 72.5 * magnification
    disc = np.hypot(rows / height, columns / width) <= 1
    cup = np.hypot(rows / (height * ratio), columns / (width * ratio)) <= 1
    return disc.astype(np.uint8) + cup


def entry(patient: int, eye: Eye, day: date, ratio: float, random: np.random.Generator) -> JournalEntry:
    """A photograph as predict notes it."""
    name = f"{patient}_{eye}_{day}"
    row = asdict(measure(label_map(float(np.clip(ratio, 0.05, 0.95)), np.exp(random.normal(0, 0.03))), eye=eye))
    plain = {key: None if value != value else value for key, value in row.items()}
    return JournalEntry(name, name, 0, 0, eye, {"file": name, "error": "", "eye": eye, **plain})


def simulated(
    patients: int, visits: int, errors: Numbers, random: np.random.Generator
) -> tuple[list[Patient], dict[tuple[str, Eye], Truth]]:
    """Patients as predict puts them together, and what is true of each eye."""
    entries, identities, truths = [], {}, {}
    for patient in range(patients):
        base = float(np.clip(random.normal(0.5, 0.1), 0.25, 0.65))
        for number, eye in enumerate(EYES):
            kind = (2 * patient + number) % 3
            change = (0.0, 0.1, random.uniform(0, 0.25))[kind]
            truth = Truth(base + number * random.normal(0, 0.08), change)
            truths[str(patient), eye] = truth
            for visit in range(visits):
                day = date(2015, 1, 1) + timedelta(days=365 * visit + int(visit and random.integers(-40, 40)))
                share = (day - date(2015, 1, 1)).days / (365 * max(1, visits - 1))
                ratio = truth.ratio + change * share + random.choice(errors)
                entries.append(entry(patient, eye, day, ratio, random))
                identities[entries[-1].name] = Identity(str(patient), eye, day.isoformat())
    return group_patients(entries, Identities([], identities))[0], truths


def figures(
    patients: list[Patient], truths: dict[tuple[str, Eye], Truth], visits: int, known: Repeatability
) -> dict[str, float]:
    """What the simulation shows."""
    errors, inside, alarms, found, gaps, held = [], [], [], [], [], []
    for patient in patients:
        for eye, own in patient.eyes.items():
            truth, ratio = truths[patient.name, eye], eye_change(own, (), known).ratio
            assert ratio is not None
            years = 365 * (visits - 1) / 365.25
            slope = truth.change / years
            errors.append((ratio.slope - slope) * years)
            inside.append(ratio.low <= slope <= ratio.high)
            if truth.change == 0:
                alarms.append(ratio.changed)
            elif truth.change == 0.1:
                found.append(ratio.changed)
        apart = asymmetry(patient, known)
        assert apart is not None
        right, left = (truths[patient.name, eye] for eye in EYES)
        share = [
            (visit.day - date(2015, 1, 1)).days / (365 * (visits - 1))
            for visit in (apart.right, apart.left)
            if visit.day
        ]
        true = right.ratio + right.change * share[0] - left.ratio - left.change * share[1]
        gaps.append(apart.vertical_cdr[0] - true)
        held.append(apart.vertical_cdr[1] <= true <= apart.vertical_cdr[2])
    return {
        "eyes": len(errors),
        "bias of the change over all visits": float(np.mean(errors)),
        "coverage of its interval": float(np.mean(inside)),
        "stable eyes": len(alarms),
        "false alarms": float(np.mean(alarms)),
        "power at a change of 0.1": float(np.mean(found)),
        "patients with an asymmetry": len(gaps),
        "bias of the asymmetry": float(np.mean(gaps)),
        "coverage of its interval (asymmetry)": float(np.mean(held)),
    }


def main() -> None:
    """Simulate and print."""
    options = arguments()
    random = np.random.default_rng(options.seed)
    known = Repeatability()
    normal = random.normal(0, known.sd("vertical_cdr"), 100_000)
    errors = real_errors(options.measurements) if options.measurements else normal
    print(f"errors: SD {errors.std():.4f}, {len(errors)} to draw from; assumed {known.sd('vertical_cdr'):.4f}")
    patients, truths = simulated(options.patients, options.visits, errors, random)
    for name, value in figures(patients, truths, options.visits, known).items():
        print(f"{name:40} {value:.4f}" if isinstance(value, float) else f"{name:40} {value}")


if __name__ == "__main__":
    main()
