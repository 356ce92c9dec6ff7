"""Prediction and evaluation on XLA's virtual devices, in a process of their own; prints what it found as JSON.

python -m tests.support.xla_predict FOLDER
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from fundusseg import evaluate, predict
from fundusseg.class_paths import trust
from fundusseg.data.preparation import Preparation
from fundusseg.datasets import Phantom
from fundusseg.imaging.image_files import read_mask, write_png
from fundusseg.inference.predictor import Predictor
from fundusseg.inference.segmenter import Segmenter
from fundusseg.models import UNet
from fundusseg.models.checkpoint import KEY, describe
from fundusseg.xla import backend
from fundusseg.xla.process import compute_device

SIDE = 32


def network(path: Path) -> Path:
    """A checkpoint of random weights, whose thresholds let through half of the pixels or so."""
    torch.manual_seed(0)
    unet = UNet(start_channels=4, depth=2)
    preparation = Preparation(image_size=SIDE, roi="picture")
    description = describe(unet, preparation, thresholds={"disc": 0.5, "cup": 0.5}, sources={"made": "free"})
    weights = {f"model.{name}": weight for name, weight in unet.state_dict().items()}
    torch.save({KEY: description.as_dict(), "state_dict": weights}, path)
    return path


def main(folder: Path) -> None:
    trust(["tests"])
    path = network(folder / "a.ckpt")
    (folder / "in").mkdir()
    for number, sample in enumerate(Phantom(count=7, size=96)):
        write_png(folder / "in" / f"{number}.png", sample.image)
    arguments = ["--checkpoint", str(path), str(folder / "in"), "--views", "4"]
    codes = [predict.main([*arguments, "--output", str(folder / "cpu")])]
    device = compute_device("tpu")
    before = backend.counters()
    codes.append(predict.main([*arguments, "--output", str(folder / "tpu"), "--device", "tpu"]))
    compiled = backend.counters()["compiled"] - before["compiled"]
    near, Segments = Segmenter.from_checkpoint(path), Segmenter.from_checkpoint(path, device)
    pictures = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), np.uint8)
    apart = float(np.abs(near(pictures, 3) - Segments(pictures, 3)).max())  # 15 pictures: two batches of 8
    differing, found = 0, 0
    for number in range(7):
        one, other = (read_mask(folder / where / f"{number}_labels.png") for where in ("cpu", "tpu"))
        differing, found = differing + int((one != other).sum()), found + int((one > 0).sum())
    again = backend.counters()
    codes.append(predict.main([*arguments, "--output", str(folder / "again"), "--device", "tpu"]))
    for where, name in (("scored", "cpu"), ("scored on tpu", "tpu")):
        phantoms = {"class_path": "fundusseg.datasets.Phantom", "init_args": {"count": 4, "size": 96, "seed": 7}}
        (folder / "data.json").write_text(json.dumps({"data": {"datasets": [phantoms]}}))
        given = ["--checkpoint", str(path), "--config", str(folder / "data.json"), "--views", "4", "--allow_seen"]
        codes.append(evaluate.main([*given, "--output", str(folder / where), "--device", name]))
    predictor = Predictor.from_checkpoint(path, device, views=4)
    said = {
        "codes": codes,
        "devices": backend.device_count(),
        "size": Segments.gathered.size if Segments.gathered else 0,
        "at_once": predictor.at_once,
        "compiled": compiled,
        "compiled again": backend.counters()["compiled"] - again["compiled"],
        "on the host": [name for name in backend.counters() if name.startswith("aten::")],
        "apart": apart,
        "differing": differing,
        "found": found,
        "scores": [(folder / where / "images.csv").read_text() for where in ("scored", "scored on tpu")],
        "same rows": (folder / "tpu" / "measures.csv").read_bytes() == (folder / "again" / "measures.csv").read_bytes(),
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
