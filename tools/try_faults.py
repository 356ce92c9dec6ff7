"""Small inputs that went wrong in public bug reports, each tried: input, what is expected of it, what came of it.

    python tools/try_faults.py FOLDER

FOLDER holds a folder for each fault. Nothing in it is changed: each is copied to a temporary place. The exit code is 1
where one of them comes out otherwise.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fundusseg import fit, prepare
from fundusseg.datasets import Folder
from fundusseg.errors import FundusSegError
from fundusseg.imaging.image_files import read_photograph
from fundusseg.inference.photograph_list import count_passed_over, find_photographs

TINY = [
    "--data.image_size=32",
    "--data.batch_size=2",
    "--trainer.fast_dev_run=1",
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--model.model=fundusseg.models.UNet",
    "--model.model.start_channels=4",
    "--model.model.depth=2",
]

SAME = 12.0
"""Mean difference of two pictures of one crop, of 255: colour spaces and JPEG cost some, another eye far more."""


class Outcome(NamedTuple):
    """What was tried, what is expected, and what came."""

    fault: str
    expected: str
    outcome: str
    as_expected: bool


def masks(expected: str, *signs: str, **settings: object) -> Callable[[Path], Iterator[Outcome]]:
    """Learn from a folder by `prepare` and by `fit`: refused with these words, or the first picture's areas are so."""

    def attempt(place: Path) -> Iterator[Outcome]:
        for verb in ("prepare", "fit"):
            said = _learn(place, verb, settings)
            outcome = said or _areas(place, settings)
            good = all(sign in outcome for sign in signs)
            yield Outcome(f"{place.name} {settings or ''} {verb}", expected, outcome, good)

    return attempt


def _learn(place: Path, verb: str, settings: dict[str, object]) -> str:
    """The sentence of a refusal; empty where everything was read."""
    listed = ", ".join(f"{key}: {value}" for key, value in {"root": place, **settings}.items())
    data = [
        f"--data.datasets=[{{class_path: fundusseg.datasets.Folder, init_args: {{{listed}}}}}]",
        f"--data.cache_dir={place.parents[1] / 'cache'}",
        f"--data.regions={settings.get('regions', '[disc, cup]')}",
    ]
    try:
        if verb == "fit":
            channels = f"--model.model.out_channels={len(data[-1].split(','))}"
            fit.main([*TINY, *data, channels])
            return ""
        output = place.parents[1] / "prepared"
        prepare.main([*data, "--data.image_size=32", f"--output={output}"])
        return "; ".join(json.loads((output / prepare.REPORT).read_text())["problems"])
    except FundusSegError as error:
        return str(error)


def _areas(place: Path, settings: dict[str, object]) -> str:
    regions = str(settings.get("regions", "[disc, cup]")).strip("[]").split(", ")
    dataset = Folder(place, **{**settings, "regions": regions})  # type: ignore[arg-type]
    sample = dataset[0]
    areas = ", ".join(f"{region} {np.count_nonzero(sample.of(region)[0].mask)} px" for region in regions)
    return f"{len(dataset)} read; the first: {areas}"


def photographs(
    expected: str, count: int, passed_over: str, unreadable: tuple[str, ...] = ()
) -> Callable[[Path], Iterator[Outcome]]:
    """Find and decode a folder's photographs as `predict` does."""

    def attempt(place: Path) -> Iterator[Outcome]:
        found = find_photographs([str(place)], place.parents[1] / "predictions")
        read, refused = 0, []
        for photograph in found.photographs:
            try:
                read_photograph(photograph.path)
                read += 1
            except FundusSegError:
                refused.append(photograph.path.name)
        others = count_passed_over(found.passed_over)
        outcome = f"{read} photographs; refused: {', '.join(refused) or 'none'}; passed over: {others or 'none'}"
        good = (read, tuple(refused), others) == (count, unreadable, passed_over)
        yield Outcome(place.name, expected, outcome, good)

    return attempt


def colours(place: Path) -> Iterator[Outcome]:
    """One crop in many forms of a file."""
    first, kinds = (
        read_photograph(place / "a_rgb.png").astype(float),
        {"same": [], "grey": [], "refused": [], "other": []},
    )
    for path in sorted(place.iterdir()):
        try:
            pixels = read_photograph(path)
        except FundusSegError:
            kinds["refused"].append(path.name)
            continue
        if (pixels[..., 0] == pixels[..., 2]).all():
            kinds["grey"].append(path.name)
        else:
            kinds["same" if np.abs(pixels - first).mean() < SAME else "other"].append(path.name)
    outcome = ", ".join(f"{len(names)} {kind}" for kind, names in kinds.items())
    expected = "12 agree, two grey ones to review, float refused in a sentence"
    yield Outcome(place.name, expected, outcome, [len(names) for names in kinds.values()] == [12, 2, 1, 0])


def lists(place: Path) -> Iterator[Outcome]:
    """Lists as spreadsheets write them: each names its files, and the eye where that can be told."""
    for path in sorted(place.iterdir()):
        found = find_photographs([str(path)], place.parents[1] / "predictions").photographs
        said = []
        for photograph in found:
            try:
                said.append(f"{photograph.path.name.split(chr(92))[-1]} {photograph.side() or '-'}")
            except FundusSegError as error:
                said.append(str(error))
        good = len(found) == (1 if path.stem == "latin" else 2) and all("\ufffd" not in words for words in said)
        yield Outcome(f"lists/{path.name}", "every file named, its eye told or refused by name", "; ".join(said), good)


TRIALS: dict[str, list[Callable[[Path], Iterator[Outcome]]]] = {
    "mask_quantized": [masks("read through the palette: 3,188 px of disc, not 62,348", "8 read", "disc 3188 px")],
    "mask_colour_rgb": [masks("refused by name", "a mask in colour, whose channels differ")],
    "mask_rim_apart": [masks("told in fit as in prepare", "rim")],
    "mask_outline": [masks("told; 179 px is no disc", "outline as disc", regions="[disc]")],
    "exif_both": [masks("both turned", "8 read", "disc 3188 px")],
    "names_gif": [masks("read", "6 read", "disc 3188 px, cup 800 px")],
    "region_names": [masks("taken as disc and cup", "6 read", "disc 3188 px, cup 800 px")],
    "empty_cup": [
        masks("refused, with the way to say so", "no cup pixel marked", "empty_cup: true"),
        masks("the disc is kept", "6 read", "disc 3188 px, cup 0 px", empty_cup="true"),
    ],
    "mask_16bit_scaled": [masks("read", "8 read", "disc 3188 px", regions="[disc]")],
    "suffixes": [photographs("every readable one done, the rest told", 10, "1 no ending", ("study.dcm",))],
    "symlinks": [photographs("both found", 4, "")],
    "junk": [photographs("two photographs", 2, "1 .db, 4 hidden")],
    "colour": [colours],
    "lists": [lists],
}


def try_all(folder: Path) -> Iterator[Outcome]:
    """Try every fault on a copy."""
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / "faults"
        shutil.copytree(folder, copy)
        for path in (copy, *copy.rglob("*")):
            path.chmod(0o755)
        _link(copy / "symlinks")
        for name, trials in TRIALS.items():
            for trial in trials:
                yield from trial(copy / name)


def _link(place: Path) -> None:
    """Make links again, of which a packed folder holds the path that they lead to as a file."""
    for path in list(place.rglob("*")):
        if path.is_file() and path.stat().st_size < 100:
            target = path.read_text().strip()
            path.unlink()
            path.symlink_to(target)


def main() -> int:
    """Print a line for each; the exit code."""
    parser = argparse.ArgumentParser(description="Try inputs that went wrong in public bug reports.")
    parser.add_argument("folder", type=Path)
    outcomes = list(try_all(parser.parse_args().folder))
    for one in outcomes:
        print(f"{'as expected' if one.as_expected else 'OTHERWISE':12} {one.fault}: {one.expected} -> {one.outcome}")
    return int(not all(one.as_expected for one in outcomes))


if __name__ == "__main__":
    sys.exit(main())
