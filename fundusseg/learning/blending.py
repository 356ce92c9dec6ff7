"""Between a champion's weights and those of a training on new pictures: the point that gains most and forgets nothing.

The weights of a network and of its fine-tuned successor are averaged with one share; on the way from one to the other
the new pictures are learnt before the old ones are forgotten (WiSE-FT: Wortsman et al. 2022, arXiv 2109.01903).
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from fundusseg.data.datamodule import FundusDataModule
from fundusseg.learning.correction_files import SITE
from fundusseg.models import checkpoint
from fundusseg.reports.metric_names import LOWER_IS_BETTER, VCDR_ERROR
from fundusseg.reports.tables import Score
from fundusseg.training.task import SegmentationTask

SHARES = (1.0, 0.75, 0.5, 0.25)
"""Of the trained weights, that are tried."""

UNCHOSEN = 0.5
"""Share where no picture chooses."""

FORGOTTEN = {"dice": 0.002, VCDR_ERROR: 0.004}
"""What the public pictures that choose may lose: less than the margins of a promotion, as they are few."""

Means = dict[tuple[str, str], float]
"""Mean of each region and measure, higher is better."""


def blend(champion: Path, trained: Path, output: Path, data: FundusDataModule, device: str) -> float:
    """Write the blend that gains most on the site's choosing pictures, of those that forget nothing; its share.

    Where all of them forget, the one with the least of the trained weights is written.

    Args:
        champion: Checkpoint that the training started from.
        trained: Checkpoint of its end.
        output: The blend.
        data: What chooses.
        device: Where to compute.
    """
    if not data.split.val:
        _write_blend(champion, trained, UNCHOSEN, output)
        return UNCHOSEN
    site, public = _means(_scores(champion, data, device))
    found: list[tuple[float, float]] = []
    for share in SHARES:
        _write_blend(champion, trained, share, output)
        gained, kept = _means(_scores(output, data, device))
        if all(kept.get(cell, -math.inf) >= before - FORGOTTEN[cell[1]] for cell, before in public.items()):
            # A number that is defined in no picture any more is lost, not gained.
            found.append((sum(gained.get(cell, -math.inf) - before for cell, before in site.items()), share))
    best = max(found)[1] if found else SHARES[-1]
    _write_blend(champion, trained, best, output)
    return best


def on_device(device: str) -> dict[str, Any]:
    """A Trainer's arguments for one device.

    >>> on_device("cuda:1")
    {'accelerator': 'gpu', 'devices': [1]}
    """
    kind, _, number = device.partition(":")
    return {"accelerator": kind.replace("cuda", "gpu"), "devices": [int(number)] if kind == "cuda" and number else 1}


def _write_blend(champion: Path, trained: Path, share: float, output: Path) -> None:
    """Each weight and statistic of the network ``share`` of the trained one; counts as they were trained."""
    before, content = checkpoint.read(champion)["state_dict"], checkpoint.read(trained)
    weights = {
        name: share * after + (1 - share) * before[name].to(after) if after.is_floating_point() else after
        for name, after in content["state_dict"].items()
        if name.startswith("model.")
    }
    checkpoint.write({checkpoint.KEY: content[checkpoint.KEY], "state_dict": weights}, output)


def _scores(path: Path, data: FundusDataModule, device: str) -> Sequence[Score]:
    """Of the pictures that choose."""
    task = SegmentationTask.load_from_checkpoint(path, sources=data.sources, preparation=data.preparation)
    trainer = Trainer(
        **on_device(device),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.validate(task, datamodule=data, verbose=False)
    return [score for score in task.results["val"] if score.source in data.sources]


def _means(scores: Sequence[Score]) -> tuple[Means, Means]:
    """Of the site's pictures, and of all others."""
    found: list[Means] = []
    for ours in (True, False):
        cells = [one for one in scores if one.metric in FORGOTTEN and one.n and (one.source == SITE) == ours]
        sums: dict[tuple[str, str], list[float]] = {}
        for one in cells:
            sign = -1 if one.metric in LOWER_IS_BETTER else 1
            total = sums.setdefault((one.region, one.metric), [0.0, 0.0])
            total[0] += sign * one.value * one.n
            total[1] += one.n
        found.append({cell: total / count for cell, (total, count) in sums.items()})
    return found[0], found[1]
