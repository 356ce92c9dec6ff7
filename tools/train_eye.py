"""Train the small network that tells a right eye from a left one, in whole photographs and in crops.

    python tools/train_eye.py --data FOLDER --output eye.ckpt
    python tools/train_eye.py --data FOLDER --output eye.ckpt --fold 3

FOLDER holds optic_disc_seg, IDRiD, ORIGA-discs, RIM-ONE-DL and Drishti-GS1_files. One photograph in five is held back
and scored at the end, by patient; with --fold another fifth. The same command gives the same weights.

The truth is the dataset's own where it tells the eye; of DRISHTI-GS what we read off the macula's side; and else the
disc's place in a photograph that is centred on the macula, which is certain. Mirrored, a photograph is the other eye:
every one is drawn as both, as often. Where a photograph shows the whole field, three in four of its draws are cut as
crops are, or given another field of view, so that the network learns vessels, fovea and rim, and not where in its field
a disc lies.

Hardware  1 CPU core. Time: 20 minutes on a busy machine; not measured on a quiet one.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fundusseg.data.datamodule import FundusDataModule
from fundusseg.data.expert_fusion import fuse
from fundusseg.datasets import DrishtiGS, Folder, IDRiD, OpticDiscSeg, RimOneDL
from fundusseg.datasets.base import FundusDataset
from fundusseg.errors import DatasetError, FundusSegError
from fundusseg.imaging.laterality import eye_from_place
from fundusseg.imaging.roi import field_of_view
from fundusseg.inference.eye_side import RIGHT
from fundusseg.models import EyeNetwork, checkpoint
from fundusseg.sample import DISC, Eye, Image, Record, Sample

SCALE, SIZE = 6.0, 128
"""Side of what the network sees, in disc diameters and in pixels: it holds the fovea, 2.5 diameters from the disc."""

STORED_SCALE, STORED_SIZE = 7.0, 256
"""Side of what is stored, so that a turned and shifted picture has no black corners."""

LEAST_CERTAIN = 0.9
"""Lowest cut-off: a handful of validation eyes without an error does not show that a coin's toss would do."""

WEIGHTS = {"optic_disc_seg": 0.35, "idrid": 2.0, "origa_discs": 2.0, "rim_one_dl": 1.5, "drishti_gs": 3.0}
"""Draws for each picture: the first are left eyes of one camera, centred on the macula; the last show little of it."""

READ: dict[Eye, str] = {
    "OD": "004 012 016 018 024 026 031 033 035 038 040 042 044 047 049 051 057 058 060 062 069 075 088 090 101",
    "OS": "002 008 010 015 017 022 032 036 037 041 045 046 061 063 064 066 068 076 080 081 084 089 092 094",
}
"""Training photographs of DRISHTI-GS, which does not tell the eye: read by one of us off the macula's side and the
arcades, with the contrast raised; 098 cannot be told."""


def readers() -> list[FundusDataset]:
    """The datasets, below a folder that is given later."""
    origa = Folder("ORIGA-discs", name="origa_discs", regions=[DISC], csv="table.csv")
    return [
        OpticDiscSeg("optic_disc_seg"),
        IDRiD("IDRiD"),
        origa,
        RimOneDL("RIM-ONE-DL"),
        DrishtiGS("Drishti-GS1_files"),
    ]


class Eyes:
    """Squares around the discs, and which eye each is.

    Args:
        datasets: Readers; their own eyes are believed.
        root: Folder below which they lie.
        fold: Which fifth of the patients is held back.
        cache: Where prepared squares are kept; None takes the user's cache folder.
    """

    def __init__(self, datasets: list[FundusDataset], root: str, fold: int = 0, cache: str | None = None) -> None:
        self.data = FundusDataModule(
            datasets,
            root,
            regions=[DISC],
            image_size=STORED_SIZE,
            roi_scale=STORED_SCALE,
            fusion="majority",
            folds=5,
            fold=fold,
            val_share=0.15,
            # One eye stands in a set twice, under two numbers.
            drop_duplicates_from=[dataset.source for dataset in datasets],
            cache_dir=cache,
        )
        self.eyes: dict[str, Eye] = {}
        self.data.open_stores(self._tell)
        self.data.setup()
        store = self.data.subsets["train"].store
        positions = {record.key: index for index, record in enumerate(self.data.records)}
        self.pictures: dict[str, Image] = {key: store.image(positions[key]) for key in self.eyes}

    def _tell(self, record: Record, outcome: Sample | FundusSegError) -> None:
        """Note the eye of one photograph, where it is certain."""
        if isinstance(outcome, FundusSegError):
            raise outcome
        disc = (fuse(outcome.of(DISC), "majority") > 127).astype(np.uint8)
        read = {f"drishti_gs/drishtiGS_{number}": eye for eye, numbers in READ.items() for number in numbers.split()}
        if eye := record.eye or read.get(record.key) or eye_from_place(disc, field_of_view(outcome.image)):
            self.eyes[record.key] = eye

    def keys(self, subset: Any) -> list[str]:
        """Pictures of a subset whose eye is known."""
        return [key for key in self.data.split.keys(subset) if key in self.eyes]

    def right(self, keys: list[str]) -> npt.NDArray[np.float32]:
        """1 for a right eye."""
        return np.array([self.eyes[key] == "OD" for key in keys], np.float32)


def vary(picture: Image, rng: np.random.Generator) -> Image:
    """Another photograph of the same eye, SIZE pixels wide: turned, cut, in other light, less sharp."""
    diameter = SIZE / SCALE
    scale = diameter / (STORED_SIZE / STORED_SCALE) * np.exp(rng.normal(0, 0.15))
    middle = STORED_SIZE / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), rng.uniform(-25, 25), scale)
    matrix[:, 2] += SIZE / 2 - middle + rng.normal(0, 0.15, 2) * diameter
    # What is shrunk is smoothed first, as averaging by area does.
    turned = cv2.warpAffine(cv2.GaussianBlur(picture, (0, 0), max(0.3, 0.45 / scale)), matrix, (SIZE, SIZE))
    turned = np.asarray(turned * _seen(rng, diameter)[..., None], np.uint8)
    light = turned * np.exp(rng.normal(0, 0.12, 3) + rng.normal(0, 0.2))
    light = 255 * (np.clip(light, 0, 255) / 255) ** np.exp(rng.normal(0, 0.2))
    if rng.random() < 0.25:
        light = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.4, 1.3))
    if rng.random() < 0.3:
        light = light + rng.normal(0, 4, light.shape)
    return np.clip(light, 0, 255).astype(np.uint8)


def _seen(rng: np.random.Generator, diameter: float) -> Image:
    """0 where a crop, or another camera's field of view, would end."""
    seen = np.zeros((SIZE, SIZE), np.uint8)
    kind = rng.random()
    if kind < 0.45:
        x, y = SIZE / 2 + rng.uniform(-0.3, 0.3, 2) * diameter
        half = rng.uniform(1.0, 2.4) * diameter
        seen[max(0, int(y - half)) : int(y + half), max(0, int(x - half)) : int(x + half)] = 1
        return seen
    if kind < 0.75:
        radius = rng.uniform(1.6, 3.2) * diameter
        # The disc stays inside.
        far, towards = rng.uniform(0, radius - 0.8 * diameter), rng.uniform(0, 2 * np.pi)
        centre = int(SIZE / 2 + far * np.cos(towards)), int(SIZE / 2 + far * np.sin(towards))
        return np.asarray(cv2.circle(seen, centre, int(radius), 1, -1), np.uint8)
    return seen + np.uint8(1)


def as_seen(picture: Image, crop: float = SCALE) -> Image:
    """What the network sees in use; of a crop of so many disc diameters."""
    border = round(STORED_SIZE * (1 - SCALE / STORED_SCALE) / 2)
    inside = picture[border:-border, border:-border]
    seen = cv2.resize(inside, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    outside = round(SIZE * (1 - crop / SCALE) / 2)
    cut = np.zeros_like(seen)
    part = slice(outside, SIZE - outside)
    cut[part, part] = seen[part, part]
    return cut


def train(eyes: Eyes, weights: Mapping[str, float], steps: int, seed: int, batch: int = 48) -> EyeNetwork:
    """Fit the network to the training patients' eyes."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network = EyeNetwork(SIZE).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.02)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps, pct_start=0.2)
    keys = eyes.keys("train")
    right = eyes.right(keys)
    shares = np.array([weights.get(key.split("/")[0], 1.0) for key in keys])
    for step in range(steps):
        drawn = rng.choice(len(keys), batch, p=shares / shares.sum())
        pictures = np.stack([vary(eyes.pictures[keys[index]], rng) for index in drawn])
        mirrored = rng.random(batch) < 0.5
        pictures[mirrored] = pictures[mirrored, :, ::-1]
        # 0.99 and 0.01: a few eyes may be told wrong, and nothing is gained by ever larger logits.
        target = torch.from_numpy(0.01 + 0.98 * np.where(mirrored, 1 - right[drawn], right[drawn])).float()
        loss = nn.functional.binary_cross_entropy_with_logits(network(_batch(pictures)).flatten(), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
        if step % 60 == 59:
            print(f"step {step + 1} of {steps}: loss {float(loss.detach()):.3f}", flush=True)
    return network.eval()


def _batch(pictures: Image) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2)


@torch.no_grad()
def certainty(network: EyeNetwork, eyes: Eyes, keys: list[str], crop: float = SCALE) -> npt.NDArray[np.float32]:
    """Probability of the true eye of each picture."""
    if not keys:
        return np.zeros(0, np.float32)
    logits = network(_batch(np.stack([as_seen(eyes.pictures[key], crop) for key in keys]))).flatten()
    return np.asarray(torch.where(torch.from_numpy(eyes.right(keys)) > 0, logits, -logits).sigmoid().numpy())


def cut_off(certain: npt.NDArray[np.float32]) -> float:
    """The lowest probability, from `LEAST_CERTAIN` on, with which all but 1 % of those told are right.

    Args:
        certain: Probability of the true eye of each validation picture, whole and as a crop.
    """
    told = np.maximum(certain, 1 - certain)
    for threshold in np.arange(LEAST_CERTAIN, 0.995, 0.005):
        among = told >= threshold
        if (certain[among] < 0.5).sum() <= 0.01 * among.sum():
            return round(float(threshold), 3)
    raise DatasetError(
        f"{len(certain)} validation pictures of which too many are told wrong however sure the network is",
        "an error in 100 at most",
        "train longer (--steps), or look at the eyes that the datasets give",
    )


def report(network: EyeNetwork, eyes: Eyes, threshold: float) -> None:
    """Print how many held-back eyes are told, and how many of these are right."""
    for name, crop in (("whole", SCALE), ("crop of 4 disc diameters", 4.0), ("crop of 2.4 disc diameters", 2.4)):
        for source in eyes.data.sources:
            keys = [key for key in eyes.keys("test") if key.split("/")[0] == source]
            certain = certainty(network, eyes, keys, crop)
            told = np.maximum(certain, 1 - certain) >= threshold
            wrong = [key for key, one in zip(keys, certain, strict=True) if one <= 1 - threshold]
            print(f"{source}, {name}: told {told.sum()} of {len(keys)}, wrong {len(wrong)} {' '.join(wrong)}")


def save(network: EyeNetwork, eyes: Eyes, threshold: float, path: str) -> None:
    """Write the network as a checkpoint; it says whom it was trained and chosen on, without a name."""
    known = set(eyes.eyes)
    split = eyes.data.split
    split = split.without([key for key in split.listed if key not in known])
    preparation = replace(eyes.data.preparation, regions=(RIGHT,), image_size=SIZE, roi_scale=SCALE)
    description = checkpoint.describe(
        network, preparation, thresholds={RIGHT: threshold}, sources=eyes.data.sources, split=split
    )
    weights = {f"model.{name}": weight for name, weight in network.state_dict().items()}
    checkpoint.write({checkpoint.KEY: description.as_dict(), "state_dict": weights}, Path(path))


def main() -> None:
    """Train, choose the cut-off on validation patients, score the held-back ones, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of the datasets")
    parser.add_argument("--output", default="eye.ckpt")
    parser.add_argument("--fold", type=int, default=0, help="which fifth of the patients is held back, 0 to 4")
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--seed", type=int, default=1)
    settings = parser.parse_args()
    torch.set_flush_denormal(True)
    torch.set_num_threads(1)  # the same sums in the same order on any machine
    eyes = Eyes(readers(), settings.data, settings.fold)
    network = train(eyes, WEIGHTS, settings.steps, settings.seed)
    chosen_on = [certainty(network, eyes, eyes.keys("val"), crop) for crop in (SCALE, 2.4)]
    threshold = cut_off(np.concatenate(chosen_on))
    print(f"told from a probability of {threshold:.3f} on; {len(eyes.keys('val'))} validation photographs chose it")
    report(network, eyes, threshold)
    save(network, eyes, threshold, settings.output)


if __name__ == "__main__":
    try:
        main()
    except FundusSegError as error:
        sys.exit(str(error))
