"""Between a champion's weights and those of a training on new pictures: the point that gains most and forgets nothing.

The weights of a network and of its fine-tuned successor are averaged with one share; on the way from one to the other
the new pictures are learnt before the old ones are forgotten (WiSE-FT: Wortsman et al. 2022, arXiv 2109.01903).
"""

from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch import Trainer

from fundusseg.data.datamodule import FundusDataModule
from fundusseg.learning.correction_files import SITE
from fundusseg.models import checkpoint
from fundusseg.reports.tables import Score
from fundusseg.training.task import SegmentationTask

SHARES = (1.0, 0.75, 0.5, 0.25)
"""Of the trained weights, that are tried."""

UNCHOSEN = 0.5
"""Share where no picture chooses."""

FORGOTTEN = 0.002
"""Dice that the public pictures which choose may lose: less than the margin of a promotion, as they are few."""


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
    site, public = _dice(_scores(champion, data, device))
    found: list[tuple[float, float]] = []
    for share in SHARES:
        _write_blend(champion, trained, share, output)
        gained, kept = _dice(_scores(output, data, device))
        if all(kept[region] >= before - FORGOTTEN for region, before in public.items()):
            found.append((sum(gained.values()) - sum(site.values()), share))
    best = max(found)[1] if found else SHARES[-1]
    _write_blend(champion, trained, best, output)
    return best


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
        accelerator=device.partition(":")[0].replace("cuda", "gpu"),
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.validate(task, datamodule=data, verbose=False)
    return [score for score in task.results["val"] if score.source in data.sources]


def _dice(scores: Sequence[Score]) -> tuple[dict[str, float], dict[str, float]]:
    """Mean Dice of each region, of the site's pictures and of all others."""
    found: list[dict[str, float]] = []
    for ours in (True, False):
        cells = [one for one in scores if one.metric == "dice" and one.n and (one.source == SITE) == ours]
        of = {
            region: [one for one in cells if one.region == region] for region in dict.fromkeys(c.region for c in cells)
        }
        found.append({region: sum(c.value * c.n for c in own) / sum(c.n for c in own) for region, own in of.items()})
    return found[0], found[1]
