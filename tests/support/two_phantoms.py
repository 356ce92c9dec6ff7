"""A data module of two synthetic sources."""

from fundusseg.data.datamodule import FundusDataModule
from fundusseg.datasets import Phantom


def module(tmp_path, **options) -> FundusDataModule:
    """Two phantoms, the second without cups, prepared and set up."""
    datasets = [
        Phantom(count=20, size=96, name="both"),
        Phantom(count=10, size=96, name="disc_only", regions=("disc",), seed=1),
    ]
    settings = {"datasets": datasets, "image_size": 32, "batch_size": 4, "cache_dir": str(tmp_path), **options}
    data = FundusDataModule(**settings)
    data.prepare_data()
    data.setup()
    return data
