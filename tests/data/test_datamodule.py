from dataclasses import replace
from functools import cached_property

import albumentations
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fundusseg.data.augmentation import Augmentation
from fundusseg.data.border_weights import BorderWeights
from fundusseg.data.datamodule import FundusDataModule
from fundusseg.data.seen_patients import SeenPatients
from fundusseg.data.static_variants import Variants
from fundusseg.datasets import DrionsDB, Phantom
from fundusseg.errors import ConfigurationError, DatasetError
from tests.miniatures import drions_db
from tests.support.two_phantoms import module


@pytest.mark.slow
def test_batch_is_the_designs(tmp_path):
    batch = next(iter(module(tmp_path).train_dataloader()))
    assert {key: (value.dtype, tuple(value.shape)) for key, value in batch.items()} == {
        "image": (torch.uint8, (4, 3, 32, 32)),
        "target": (torch.uint8, (4, 2, 32, 32)),
        "valid": (torch.bool, (4, 2)),
        "weight": (torch.float32, (4,)),
        "source": (torch.int64, (4,)),
        "index": (torch.int64, (4,)),
    }


@pytest.mark.slow
def test_border_weights_come_with_the_batch_and_move_with_the_target(tmp_path):
    flip = Augmentation([albumentations.HorizontalFlip(p=1.0)])
    still = module(tmp_path, border_weights=BorderWeights(), train_augmentation=Augmentation())
    turned = module(tmp_path, border_weights=BorderWeights(), train_augmentation=flip)
    for one, other in zip(still.train_dataloader(), turned.train_dataloader(), strict=True):
        assert one["pixel_weight"].dtype == torch.uint8 and one["pixel_weight"].shape == one["target"].shape
        assert torch.equal(one["pixel_weight"].flip(-1), other["pixel_weight"])
        assert torch.equal(one["target"].flip(-1), other["target"])
    assert "pixel_weight" in next(iter(still.val_dataloader()))


@pytest.mark.slow
def test_index_and_source_find_the_record_again(tmp_path):
    data = module(tmp_path)
    names = list(data.sources)
    for batch in data.test_dataloader():
        for index, source in zip(batch["index"].tolist(), batch["source"].tolist(), strict=True):
            assert data.records[index].source == names[source]


@pytest.mark.slow
def test_a_region_that_is_not_labelled_is_not_valid(tmp_path):
    for batch in module(tmp_path).train_dataloader():
        cup = batch["source"] == list(module(tmp_path).sources).index("both")
        assert torch.equal(batch["valid"][:, 1], cup)
        assert batch["valid"][:, 0].all()


@pytest.mark.slow
def test_shapes_never_change_and_padding_weighs_nothing(tmp_path):
    data = module(tmp_path, batch_size=7)
    for loader, subset in ((data.val_dataloader(), "val"), (data.test_dataloader(), "test")):
        batches = list(loader)
        assert {tuple(batch["image"].shape) for batch in batches} == {(7, 3, 32, 32)}
        weight = torch.cat([batch["weight"] for batch in batches])
        index = torch.cat([batch["index"] for batch in batches])[weight > 0]
        assert sorted(data.records[i].key for i in index.tolist()) == sorted(data.split.keys(subset))
    assert {tuple(batch["image"].shape) for batch in data.train_dataloader()} == {(7, 3, 32, 32)}


@pytest.mark.slow
def test_training_is_repeated_by_epoch_and_seed(tmp_path):
    def images(epoch: int, **options) -> torch.Tensor:
        loader = module(tmp_path, **options).train_dataloader()
        loader.sampler.set_epoch(epoch)
        return torch.cat([batch["image"] for batch in loader])

    assert torch.equal(images(0), images(0))
    assert torch.equal(images(0), images(0, num_workers=2))
    assert not torch.equal(images(0), images(1))


@pytest.mark.slow
def test_source_weights_balance_an_epoch(tmp_path):
    data = module(tmp_path, source_weights={"both": 1, "disc_only": 3}, samples_per_epoch=40)
    sources = torch.cat([batch["source"] for batch in data.train_dataloader()])
    assert np.bincount(sources).tolist() == [10, 30]


@pytest.mark.slow
def test_each_picture_has_its_twenty_repeats(tmp_path):
    variants = Variants(copies=16, clahe=[0.04, 0.02], brightness=[0.9, 1.1])
    data = module(tmp_path, variants=variants, train_augmentation=Augmentation(), batch_size=1, image_size=128)
    batches = list(data.train_dataloader())
    assert len(batches) == 20 * len(data.split.train)
    index = int(batches[0]["index"])
    shown = [batch["image"][0] for batch in batches if int(batch["index"]) == index]
    assert len(shown) == 20 and len({image.numpy().tobytes() for image in shown}) == 5
    assert len(list(data.val_dataloader())) == len(data.split.val)


def test_one_photograph_in_two_sources_is_refused_or_dropped(tmp_path):
    twice = [Phantom(count=8, size=96, name="one"), Phantom(count=8, size=96, name="two")]
    with pytest.raises(DatasetError, match=r"8 pairs of near-identical pictures: one/00000 = two/00000"):
        module(tmp_path, datasets=twice)
    data = module(tmp_path, datasets=twice, drop_duplicates_from=["two"])
    assert data.split.dropped == tuple(f"two/{n:05}" for n in range(8))
    data.split.save(tmp_path / "split.json")
    again = module(tmp_path, datasets=twice, drop_duplicates_from=["two"], split=str(tmp_path / "split.json"))
    assert again.split == data.split
    two = [record for record in data.records if record.source == "two"]
    assert {SeenPatients([data.split]).mark(record, "") for record in two} == {"patient"}
    assert all(key.startswith("one/") for subset in ("train", "val", "test") for key in data.split.keys(subset))


class TwoEyes(Phantom):
    """Phantoms of which n and n + 10 are of one patient."""

    @cached_property
    def records(self):
        return tuple(replace(record, patient=str(int(record.name) % 10)) for record in super().records)


@pytest.mark.slow
def test_who_stands_in_two_subsets_leaves_with_both_eyes(tmp_path):
    datasets = [TwoEyes(count=20, size=96, name="pairs"), Phantom(count=10, size=96, name="single")]
    settings = {"datasets": datasets, "image_size": 32, "cache_dir": str(tmp_path), "drop_duplicates_from": ["pairs"]}
    data = FundusDataModule(**settings)
    drawn = {key: subset for subset in ("train", "val", "test") for key in data.split.keys(subset)}
    data.setup()
    apart = {n for n in range(10) if drawn[f"pairs/{n:05}"] != drawn[f"single/{n:05}"]}
    assert 0 < len(apart) < 10
    shared, others = ([f"pairs/{n + eye:05}" for n in numbers] for numbers, eye in ((range(10), 0), (apart, 10)))
    assert sorted(data.split.dropped) == sorted(shared + others), "the other eye of who is on one side alone stays"
    left = {key for subset in ("train", "val", "test") for key in data.split.keys(subset)}
    assert left == set(drawn) - set(data.split.dropped)


@pytest.mark.slow
def test_a_split_by_image_still_refuses_one_photograph_in_two_subsets(tmp_path):
    drions_db.build(tmp_path / "data", count=12)
    pictures = sorted((tmp_path / "data" / "DRIONS-DB" / "images").iterdir())
    settings = {"datasets": [DrionsDB(tmp_path / "data")], "regions": ("disc",), "split_by": "image", "test_share": 0.4}
    split = module(tmp_path / "before", **settings).split
    assert split.by == "image"
    names = [next(part for part in pictures if part.stem in key) for key in (split.train[0], split.test[0])]
    names[1].write_bytes(names[0].read_bytes())
    with pytest.raises(DatasetError, match="near-identical pictures"):
        module(tmp_path / "after", **settings)


COHORT = st.lists(st.tuples(st.integers(4, 9), st.integers(0, 1)), min_size=2, max_size=3)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cohort=COHORT, seed=st.integers(0, 9), folds=st.sampled_from([None, 3]))
@pytest.mark.slow
def test_no_subset_shares_a_patient_or_a_near_duplicate(tmp_path, cohort, seed, folds):
    # Phantoms of one seed show the same eyes: sources overlap at random.
    datasets = [Phantom(count, size=96, seed=eyes, name=f"s{n}") for n, (count, eyes) in enumerate(cohort)]
    names = [dataset.source for dataset in datasets]
    data = module(tmp_path, datasets=datasets, seed=seed, folds=folds, image_size=64, drop_duplicates_from=names)
    place = {}
    shown = {}
    for subset in ("train", "val", "test"):
        for record in data.split.select(data.records, subset):
            assert place.setdefault((record.source, record.patient), subset) == subset
            eyes = cohort[names.index(record.source)][1]
            assert shown.setdefault((eyes, record.name), record.key) == record.key, "one photograph, two places"
    everything = {(eyes, f"{n:05}") for count, eyes in cohort for n in range(count)}
    assert set(shown) == everything, "each photograph stays once"


def test_changed_files_of_a_former_split_are_refused(tmp_path):
    drions_db.build(tmp_path / "data", count=9)
    settings = {"datasets": [DrionsDB(tmp_path / "data")], "regions": ("disc",), "drop_duplicates_from": ["drions_db"]}
    data = module(tmp_path, **settings)
    data.split.save(tmp_path / "split.json")
    key = data.split.train[0]
    contour = next(r for r in data.records if r.key == key).files["expert1"]
    contour.write_text(contour.read_text() + "\n")
    with pytest.raises(DatasetError, match=f"1 pictures whose files changed .* {key}"):
        module(tmp_path, **settings, split=str(tmp_path / "split.json"))


@pytest.mark.slow
def test_evaluation_is_not_augmented_unless_asked(tmp_path):
    plain, again = (next(iter(module(tmp_path).val_dataloader()))["image"] for _ in range(2))
    assert torch.equal(plain, again)
    changed = module(tmp_path, eval_augmentation=Augmentation.standard())
    assert not torch.equal(plain, next(iter(changed.val_dataloader()))["image"])


@pytest.mark.slow
def test_former_split_is_taken_from_its_file(tmp_path):
    data = module(tmp_path, seed=8)
    data.split.save(tmp_path / "split.json")
    assert module(tmp_path, seed=9).split != data.split
    assert module(tmp_path, seed=9, split=str(tmp_path / "split.json")).split == data.split


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"datasets": [Phantom(count=3), Phantom(count=4)]}, "two datasets of source 'phantom'"),
        ({"source_weights": {"nobody": 1.0}}, "source_weights"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"samples_per_epoch": 10**12}, "samples_per_epoch 10{12}; expected 1 to"),
        ({"image_size": 3}, "image_size 3"),
        ({"roi": "nose"}, "roi 'nose'"),
        ({"regions": []}, "regions"),
        ({"roi_scale": 0.5}, "roi_scale 0.5"),
        ({"fusion": "average"}, "average"),
        ({"drop_duplicates_from": ["nobody"]}, "nobody"),
        ({"regions": ["disc", "cupp"]}, "cupp"),
    ],
)
def test_settings_out_of_range(tmp_path, options, message):
    with pytest.raises(ConfigurationError, match=message):
        module(tmp_path, **options)


@pytest.mark.slow
def test_too_few_samples_for_a_batch(tmp_path):
    with pytest.raises(ConfigurationError, match="for batches of 64"):
        module(tmp_path, batch_size=64).train_dataloader()


@pytest.mark.slow
def test_an_empty_subset_is_said(tmp_path):
    data = module(tmp_path, val_share=0.0)
    with pytest.raises(DatasetError, match="no val sample"):
        data.val_dataloader()


def test_crop_around_a_disc_that_is_not_labelled(tmp_path):
    with pytest.raises(DatasetError, match="no labelled disc"):
        module(tmp_path, datasets=[Phantom(count=5, size=96, regions=("cup",))], regions=("cup",))
