"""The mean loss is that of pictures, not of batches."""

import pytest
import torch

from fundusseg.training.loss_mean import LossMean


def test_a_last_batch_of_few_pictures_counts_for_few_and_one_that_only_pads_for_none():
    mean = LossMean()
    for loss, pictures in ((1.0, 4), (3.0, 1), (0.0, 0)):
        mean.update(torch.tensor(loss), torch.tensor(float(pictures)))
    assert float(mean.compute()) == pytest.approx((4 * 1.0 + 3.0) / 5)
    mean.reset()
    mean.update(torch.tensor(2.0), torch.tensor(1.0))
    assert float(mean.compute()) == 2.0, "begun anew"
