"""Damaged files and odd settings at random: every command ends, in a sentence, within its folder, and counts all files.

FUNDUSSEG_FUZZ is the number of cases (a file, a table, a checkpoint or a configuration each), FUNDUSSEG_FUZZ_SEED
where they start. A case is known by its kind and number and is the same on every machine.
"""

import csv
import io
import json
import os
import random
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from fundusseg import bundle, evaluate, fit, predict, prepare
from fundusseg.datasets import Phantom
from fundusseg.imaging.image_files import SUFFIXES
from tests.miniatures.phantom_folder import write_folder
from tests.support.fuzzing import Outcome, damaged, disturb, watched
from tests.support.painter import write_checkpoint
from tests.support.tiny import TINY

COUNT = int(os.environ.get("FUNDUSSEG_FUZZ", "120"))
SEED = int(os.environ.get("FUNDUSSEG_FUZZ_SEED", "0"))
SENTENCE = re.compile(r"got .+; expected .+; .+\.", re.S)
LAST_LINE = re.compile(r"(\d+) of (\d+) photographs done(?:; passed over: (.*?))?; measures in")
FORMATS = ("jpg", "png", "tif", "bmp", "gif", "webp", "ppm", "pgm", "tga", "pcx", "sgi", "jp2", "apng", "dib", "avif")
MODES = ("RGB", "RGB", "RGB", "L", "P", "RGBA", "LA", "CMYK", "1", "I;16", "I", "F", "YCbCr", "LAB")


@dataclass
class Bench:
    """What all cases share, made once.

    Attributes:
        place: Its folder.
        painter: A checkpoint that reads its answer off the picture.
        trained: A checkpoint of `fit`.
        bundle: A bundle of it.
        config: A resolved configuration as nested dictionaries.
        photographs: Phantoms.
        folder: A dataset of pictures and masks.
    """

    place: Path
    painter: Path
    trained: Path
    bundle: Path
    config: dict[str, Any]
    photographs: list[np.ndarray]
    folder: Path


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    place = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        data = "--data.datasets=[{class_path: fundusseg.datasets.Phantom, init_args: {count: 12, size: 64}}]"
        assert fit.main([*TINY, data, f"--data.cache_dir={place}/cache"]) == 0
        trained = place / "runs/version_0/checkpoints/best.ckpt"
        assert bundle.main([f"--segmenters={trained}", f"--output={place}/a.bundle"]) == 0
    config = yaml.safe_load((place / "runs/version_0/config.yaml").read_text())
    config["trainer"] |= {"fast_dev_run": 1, "logger": False}
    painter = Path(write_checkpoint(place / "painter.ckpt"))
    pictures = [sample.image for sample in Phantom(count=4, size=96)]
    return Bench(place, painter, trained, place / "a.bundle", config, pictures, write_folder(place / "folder", 5))


@cache
def encoded(number: int, kind: str, mode: str) -> bytes:
    """One phantom as a file of a format, the deepest form that the format takes."""
    picture = Image.fromarray(Phantom(count=4, size=96)[number].image)
    if mode == "LAB":
        picture = Image.fromarray(np.asarray(picture), "LAB")
    elif mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 200)
    elif mode != "RGB":
        picture = picture.convert(mode)
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 1 + number
    try:
        picture.save(
            stream,
            {"jpg": "jpeg", "tif": "tiff", "pgm": "ppm", "jp2": "jpeg2000", "apng": "png"}.get(kind, kind),
            exif=exif,
        )
    except (OSError, KeyError, ValueError):
        stream = io.BytesIO()
        Image.fromarray(Phantom(count=4, size=96)[number].image).save(stream, "png")
    return stream.getvalue()


def rows_of(output: Path) -> list[dict[str, str]]:
    with (output / "measures.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def check_predict(outcome: Outcome, output: Path, given: int | None, files: int | None, *allowed: Path) -> list[str]:
    """Faults of one `predict`.

    Args:
        outcome: What it did.
        output: Its output folder.
        given: Photographs that it was given; None where that cannot be told from outside.
        files: Files in the folder that it was given, those that are no photographs included; None likewise.
        allowed: Where it may write beside the output folder.
    """
    faults = outcome.faults(output, *allowed)
    if outcome.error is not None:
        return faults
    if not (said := LAST_LINE.search(outcome.said)):
        return [*faults, f"no last line: {outcome.said[-200:]}"]
    rows = rows_of(output)
    failed = [row["error"] for row in rows if row["error"]]
    faults += [f"traceback in a row: {error[:300]}" for error in failed if not SENTENCE.fullmatch(error)]
    done, total = int(said[1]), int(said[2])
    passed = sum(int(part.split()[0]) for part in said[3].split(", ")) if said[3] else 0
    if done + len(failed) != total or total != len(rows) or (given is not None and given != total):
        faults.append(f"omitted: {given} given, {len(rows)} rows, {done} done, {len(failed)} failed")
    if files is not None and files != total + passed:
        faults.append(f"omitted: {files} files, {total} photographs and {passed} passed over")
    if (outcome.code == 1) != bool(failed):
        faults.append(f"exit code {outcome.code} with {len(failed)} failed")
    return faults


def photographs(chance: random.Random, bench: Bench, place: Path) -> tuple[int, list[str]]:
    """Twenty damaged files in a folder with its inner folders, among them names that are no photograph's."""
    folder, count = place / "in", 20
    for number in range(count):
        kind = chance.choice(FORMATS)
        content = encoded(number % 4, kind, chance.choice(MODES))
        inner = chance.choice(("", "", "inner/", "é/", ".hidden/", "a b/"))
        name = chance.choice(
            (f"{number}.{kind}",) * 6
            + (f"{number}.{chance.choice(sorted(SUFFIXES))[1:]}", f"{number}.dcm", f"._{number}.{kind}", f"{number}")
        )
        path = folder / f"{inner}{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(damaged(content, chance) if chance.random() < 0.9 else content)
    options = [f"--workers={chance.choice((1, 2))}", *chance.choice(([], ["--charts=true"], ["--smoothing=ellipse"]))]
    outcome = watched(
        predict.main, ["--checkpoint", str(bench.painter), str(folder), "--output", str(place / "out"), *options]
    )
    return count, check_predict(outcome, place / "out", None, count)


def drawn_mask(chance: random.Random, path: Path) -> None:
    """A mask with other codes, another size, another form, or bytes in disorder."""
    codes = np.array(Image.open(path))
    match chance.randrange(7):
        case 0:
            codes = np.array([chance.choice((0, 0, 1, 2, 7, 128, 255)) for _ in range(3)], np.uint8)[codes]
        case 1:
            codes = codes[: chance.randrange(1, 96), : chance.randrange(1, 96)]
        case 2:
            codes = np.roll(codes, (chance.randrange(96), chance.randrange(96)), (0, 1))
        case 3:
            codes = np.random.default_rng(chance.getrandbits(32)).integers(
                0, chance.choice((2, 3, 256)), (96, 96), np.uint8
            )
        case _:
            pass
    picture = Image.fromarray(codes)
    stream = io.BytesIO()
    kind = chance.choice(("png", "png", "png", "tiff", "bmp", "gif"))
    mode = chance.choice(("L", "L", "L", "P", "RGB", "RGBA", "I;16", "1"))
    try:
        picture.convert(mode).save(stream, kind)
    except (OSError, ValueError):
        picture.save(stream, kind)
    content = stream.getvalue()
    path.unlink()
    path.with_suffix(f".{kind}").write_bytes(damaged(content, chance) if chance.random() < 0.6 else content)


def check_prepare(outcome: Outcome, output: Path, pictures: int, *allowed: Path) -> list[str]:
    """Faults of one `prepare`: every picture is usable, or the reason why it is not is told."""
    faults = outcome.faults(output, *allowed)
    if outcome.error is not None:
        return faults
    report = json.loads((output / "report.json").read_text())
    problems = report["problems"]
    seen = int(report["datasets"][0]["pictures"])
    if seen != pictures and not problems:
        faults.append(f"omitted: {pictures} pictures, {seen} seen, no problem told")
    faults += [f"no sentence: {p[:200]}" for p in problems if p.startswith(("Traceback", "Exception"))]
    if (outcome.code == 1) != bool(problems):
        faults.append(f"exit code {outcome.code} with {len(problems)} problems")
    return faults


def masks(chance: random.Random, bench: Bench, place: Path) -> tuple[int, list[str]]:
    """Five pictures whose masks, or themselves, are damaged."""
    folder = place / "data"
    shutil.copytree(bench.folder, folder)
    for path in sorted((folder / "masks").iterdir()):
        if chance.random() < 0.5:
            drawn_mask(chance, path)
    for path in sorted((folder / "images").iterdir()):
        if chance.random() < 0.1:
            path.write_bytes(damaged(path.read_bytes(), chance))
    code = chance.choice(("auto", "0/1/2", "0/128/255", "binary"))
    datasets = [{"class_path": "fundusseg.datasets.Folder", "init_args": {"root": str(folder), "code": code}}]
    arguments = [
        f"--data.datasets={json.dumps(datasets)}",
        "--data.image_size=32",
        f"--data.cache_dir={place}/out/cache",
    ]
    return 5, check_prepare(watched(prepare.main, [*arguments, f"--output={place}/out"]), place / "out", 5)


CELLS = (
    "",
    "a",
    "OD",
    "os",
    "left",
    "glaucoma",
    "healthy",
    "train",
    "test",
    "R",
    "nan",
    "=1+1",
    '"',
    "é",
    "\x00",
    "\t",
    "1e9",
)


def table(chance: random.Random) -> bytes:
    """A table of the five pictures with odd cells, headings, delimiters or bytes."""
    heading = ["image", "patient", "eye", "diagnosis", "split"]
    rows = [[f"{n:05}", f"p{n}", "OD", "healthy", ""] for n in range(5)]
    for row in rows:
        if chance.random() < 0.3:
            row[chance.randrange(5)] = chance.choice(CELLS)
    lines = [heading[: chance.randint(1, 5)] if chance.random() < 0.2 else heading, *rows]
    if chance.random() < 0.3:
        lines.insert(chance.randrange(6), [chance.choice(CELLS) for _ in range(chance.randrange(8))])
    if chance.random() < 0.2:
        del lines[chance.randrange(len(lines))]
    if chance.random() < 0.2:
        lines[0] = [chance.choice((name.upper(), f" {name} ", name, name)) for name in lines[0]]
    delimiter = chance.choice((",", ",", ",", ";", "\t", "|"))
    text = chance.choice(("\n", "\r\n", "\r")).join(delimiter.join(line) for line in lines)
    content = text.encode(chance.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1")))
    return damaged(content, chance) if chance.random() < 0.4 else content


def tables(chance: random.Random, bench: Bench, place: Path) -> tuple[int, list[str]]:
    """A Folder's table; its pictures are whole."""
    place.joinpath("data").mkdir()
    for name in ("images", "masks"):
        (place / "data" / name).symlink_to(bench.folder / name)
    (place / "data" / "table.csv").write_bytes(table(chance))
    settings = {"root": str(place / "data"), "csv": "table.csv"}
    datasets = [{"class_path": "fundusseg.datasets.Folder", "init_args": settings}]
    cache = bench.place / "cache"
    arguments = [f"--data.datasets={json.dumps(datasets)}", "--data.image_size=32", f"--data.cache_dir={cache}"]
    return 1, check_prepare(watched(prepare.main, [*arguments, f"--output={place}/out"]), place / "out", 5, cache)


PATHS = (
    *("00.png", "01.png", "../in/02.png", "./00.png", "missing.png", "", " ", "..", ".", "/", "../..", "~"),
    *("in\\00.png", "a\x00b.png", "CON", "x" * 300 + ".png", "*.png", "é.png", "=cmd.png", "-", "--output"),
)


def lists(chance: random.Random, bench: Bench, place: Path) -> tuple[int, list[str]]:
    """A list for `predict`, or paths on its command line, that lead elsewhere, nowhere or twice to one file."""
    folder = place / "in"
    folder.mkdir()
    for number, picture in enumerate(bench.photographs[:3]):
        Image.fromarray(picture).save(folder / f"{number:02}.png")
    (place / "other").mkdir()
    shutil.copy(folder / "00.png", place / "other" / "00.png")
    paths = [
        chance.choice((*PATHS, f"{place}/other/00.png", "../other/00.png", f"{folder}/01.png"))
        for _ in range(chance.randint(1, 6))
    ]
    given: int | None = None
    if chance.random() < 0.3:
        named = [path for path in paths if path not in ("-", "--output", "") and "\x00" not in path] or ["00.png"]
        if any(path in ("..", ".", "/", "../..", "~") for path in named):
            named = ["00.png"]
        sources = named
    else:
        eyes = [chance.choice(("", "OD", "left", "x", "=1")) for _ in paths]
        delimiter, quote = chance.choice((",", ";", "\t")), chance.choice(("", '"'))
        lines = [delimiter.join((f"{quote}{path}{quote}", eye)) for path, eye in zip(paths, eyes, strict=True)]
        heading = chance.choice(("file", "path", "image", "File", "name"))
        text = "\n".join([f"{heading}{delimiter}eye", *lines])
        content = text.encode(chance.choice(("utf-8", "utf-8-sig", "utf-8", "utf-16", "latin-1")))
        if chance.random() < 0.4:
            content = damaged(content, chance)
        elif quote == "":
            given = len({os.path.abspath(folder / path.strip()) for path in paths if path.strip()})  # noqa: PTH100
        (folder / "list.csv").write_bytes(content)
        sources = ["list.csv"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        outcome = watched(predict.main, ["--checkpoint", str(bench.painter), *sources, "--output", str(place / "out")])
    return 1, check_predict(outcome, place / "out", given if outcome.error is None else None, None)


def checkpoints(chance: random.Random, bench: Bench, place: Path) -> tuple[int, list[str]]:
    """A checkpoint or a bundle with bytes in disorder, or with an entry that is missing or something else."""
    original = chance.choice((bench.trained, bench.bundle, bench.trained, bench.painter))
    path = place / "a.ckpt"
    if chance.random() < 0.4:
        path.write_bytes(damaged(original.read_bytes(), chance))
    else:
        content = torch.load(original, weights_only=True)
        disturb(content, chance, chance.choice((1, 1, 2)))
        torch.save(content, path)
    Image.fromarray(bench.photographs[0]).save(place / "a.png")
    output, cache = place / "out", bench.place / "cache"
    where = [f"--data.cache_dir={cache}"]
    match chance.randrange(6):
        case 0:
            outcome = watched(evaluate.main, [f"--checkpoint={path}", f"--output={output}", *where])
            faults = outcome.faults(output, cache)
        case 1:
            output.mkdir()
            outcome = watched(bundle.main, [f"--segmenters={path}", f"--output={output}/b.bundle", *where])
            faults = outcome.faults(output, cache)
        case 2:
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(place)
                again = [*TINY, "--trainer.fast_dev_run=1", "--trainer.logger=false", f"--resume={path}", *where]
                faults = watched(fit.main, again).faults(output, cache)
        case _:
            outcome = watched(predict.main, ["--checkpoint", str(path), str(place / "a.png"), "--output", str(output)])
            faults = check_predict(outcome, output, 1, None)
    return 1, faults


def configurations(chance: random.Random, bench: Bench, place: Path) -> tuple[int, list[str]]:
    """A configuration's values, by `fit` and `prepare`."""
    config = deepcopy(bench.config)
    for section in ("data", "model", "trainer"):
        if chance.random() < 0.3:
            config.pop(section)
    disturb(config, chance, chance.choice((1, 1, 2)))
    text = yaml.safe_dump(config).encode()
    if chance.random() < 0.1:
        text = damaged(text, chance)
    path, cache = place / "a.yaml", bench.place / "cache"
    path.write_bytes(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr(tempfile, "tempdir", str(place))
        match chance.randrange(4):
            case 0:
                outcome = watched(prepare.main, [f"--config={path}", "--output=out", f"--data.cache_dir={cache}"])
            case 1:
                outcome = watched(
                    evaluate.main, [f"--checkpoint={bench.trained}", f"--config={path}", "--output=out", "--allow_seen"]
                )
            case _:
                last = ["--data.cache_dir", str(cache), "--trainer.fast_dev_run=1", "--trainer.accelerator=cpu"]
                outcome = watched(fit.main, [f"--config={path}", *last])
    return 1, outcome.faults(place, cache)


Kind = Callable[[random.Random, Bench, Path], tuple[int, list[str]]]

KINDS: dict[Kind, float] = {
    photographs: 0.4,
    masks: 0.2,
    tables: 0.1,
    lists: 0.1,
    checkpoints: 0.1,
    configurations: 0.1,
}
"""Share of each kind in the cases."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_input_ends_in_a_traceback_a_hang_or_silence(kind, bench, tmp_path):
    found, done, number = Counter[str](), 0, SEED
    while done < max(1, round(COUNT * KINDS[kind])):
        place = tmp_path / str(number)
        place.mkdir()
        cases, faults = kind(random.Random(f"{kind.__name__} {number}"), bench, place)
        for fault in faults:
            found[f"{kind.__name__} {number}: {fault}"] += 1
            print(f"{kind.__name__} {number}: {fault}", flush=True)
        shutil.rmtree(place, ignore_errors=True)
        done, number = done + cases, number + 1
    print(f"{kind.__name__}: {done} cases, {len(found)} faults")
    assert not found, "\n".join(found)
