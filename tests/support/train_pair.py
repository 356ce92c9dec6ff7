"""A segmenter and a localiser, trained for a few seconds."""

from pathlib import Path

import pytest

from fundusseg import fit

PHANTOMS = "--data.datasets=[{class_path: fundusseg.datasets.Phantom, init_args: {count: 80, size: 128}}]"


NETWORK = [
    "--model.model=fundusseg.models.UNet",
    "--model.model.start_channels=8",
    "--model.model.depth=3",
    "--trainer.enable_progress_bar=false",
    "--trainer.accelerator=cpu",
]


COMMON = [PHANTOMS, *NETWORK, "--data.image_size=48", "--data.batch_size=8", "--trainer.max_epochs=8"]


def train_pair(place: Path, arguments: list[str]) -> dict[str, str]:
    """Checkpoints of a segmenter of crops and of a localiser of whole photographs."""
    kinds = {
        "segmenter": [],
        "localiser": ["--data.regions=[disc]", "--data.roi=field_of_view", "--model.model.out_channels=1"],
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, more in kinds.items():
            (place / name).mkdir()
            patch.chdir(place / name)
            assert fit.main([*arguments, *more, f"--data.cache_dir={place}/cache"]) == 0
    return {name: str(place / name / "runs/version_0/checkpoints/best.ckpt") for name in kinds}
