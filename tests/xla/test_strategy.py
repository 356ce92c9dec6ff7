"""How Lightning trains on XLA devices; on the devices themselves it runs in test_backend."""

import pytest
import torch

from fundusseg.data.datamodule import FundusDataModule
from fundusseg.data.torch_datasets import Batch
from fundusseg.datasets import Phantom
from fundusseg.errors import ConfigurationError, ImageError
from fundusseg.xla import strategy


@pytest.mark.slow
def test_loaders_of_several_hosts_divide_the_global_batch(tmp_path):
    data = FundusDataModule([Phantom(count=24, size=64)], image_size=32, batch_size=8, cache_dir=str(tmp_path))
    data.prepare_data()
    data.setup()
    whole = [[*batch["index"].tolist()] for batch in data.train_dataloader()]

    class Trainer:
        world_size = 1

        class strategy:
            root_device, share = torch.device("cpu"), (0, 2)

    found = []
    for number in range(2):
        data.trainer = Trainer
        Trainer.strategy.share = (number, 2)
        found.append([batch["index"].tolist() for batch in data.train_dataloader()])
        assert len(data.val_dataloader()) == 1 and data.val_dataloader().batch_size == 4
    assert [[*one, *two] for one, two in zip(*found, strict=True)] == [b[::2] + b[1::2] for b in whole]


def test_batch_and_precision_are_checked():
    assert strategy._RANKS.keys() >= Batch.__annotations__.keys(), "each of a batch's tensors is divided"
    strategy._check_batch(16, 8)
    assert strategy.XLAPrecision(None).precision == strategy.XLAPrecision(32).precision == "32-true"
    for precision in ("16-mixed", "bf16-mixed", "16-true", "64-true", 16):
        with pytest.raises(ConfigurationError, match=f"{precision}.*bf16-true"):
            strategy.XLAPrecision(precision)


def test_a_batch_that_does_not_divide_is_refused_with_the_nearest_that_do():
    for batch, said in ((20, "set batch_size to 16 or 24"), (3, "set batch_size to 8")):
        with pytest.raises(ConfigurationError, match=said):
            strategy._check_batch(batch, 8)


def test_an_error_of_the_loader_is_kept_for_the_thread_that_trains():
    class Bad(torch.utils.data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            if index > 1:
                raise ImageError("a picture that went bad", "a picture", "replace it")
            return index

    loader = strategy.DeviceLoader(torch.utils.data.DataLoader(Bad(), batch_size=1), None)
    assert len(loader) == 4 and len(list(loader._watched())) == 2
    assert isinstance(loader._error, ImageError)
