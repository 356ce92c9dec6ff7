"""The ISBI 2012 membranes in miniature and, where there are any, the real sections."""

import numpy as np
import pytest
from PIL import Image

from fundusseg.datasets import IsbiMembrane
from fundusseg.errors import DatasetError, ImageError
from tests.miniatures import isbi_membrane
from tests.miniatures.shapes import photograph, truncate


@pytest.mark.parametrize("stack", [False, True])
def test_dark_is_membrane_in_files_and_in_stacks(tmp_path, stack):
    isbi_membrane.build(tmp_path, stack)
    dataset = IsbiMembrane(tmp_path)
    assert [record.name for record in dataset.records] == [f"{number:02d}" for number in range(11)]
    assert {(r.regions, r.eye, r.subset) for r in dataset.records} == {(("membrane",), None, None)}
    for number, sample in enumerate(dataset):
        grey = photograph(number)[..., 0]
        assert np.array_equal(sample.image, np.stack([grey] * 3, axis=-1))
        (annotation,) = sample.annotations
        assert (annotation.region, annotation.expert) == ("membrane", "expert1")
        assert np.array_equal(annotation.mask, isbi_membrane.membrane(number))


def stacks(tmp_path):
    isbi_membrane.build(tmp_path, stack=True)
    return next(tmp_path.rglob("train-volume.tif")), next(tmp_path.rglob("train-labels.tif"))


def test_stacks_of_different_length_are_refused(tmp_path):
    _, labels = stacks(tmp_path)
    Image.new("L", (112, 96)).save(labels)
    with pytest.raises(DatasetError, match=r"11 pages in .*train-volume\.tif and 1 in .*train-labels\.tif"):
        _ = IsbiMembrane(tmp_path).records


def test_a_stack_without_its_labels_is_named(tmp_path):
    _, labels = stacks(tmp_path)
    labels.unlink()
    with pytest.raises(DatasetError, match=r"without its label stack: .*train-volume\.tif"):
        _ = IsbiMembrane(tmp_path).records


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("which", [0, 1])
def test_a_truncated_stack_is_named(tmp_path, which):
    path = stacks(tmp_path)[which]
    truncate(path)
    with pytest.raises((ImageError, DatasetError), match=path.name):
        _ = list(IsbiMembrane(tmp_path))


def test_files_and_stacks_together_are_refused(tmp_path):
    isbi_membrane.build(tmp_path)
    isbi_membrane.build(tmp_path, stack=True)
    with pytest.raises(DatasetError, match=r"the sections twice: .*0\.png and .*train-volume\.tif"):
        _ = IsbiMembrane(tmp_path).records


@pytest.mark.realdata
def test_real_sections(realdata):
    dataset = IsbiMembrane(realdata / "ISBI-membrane")
    assert len(dataset) == 30
    for record in dataset.records[::5]:
        sample = dataset.load(record)
        mask = sample.annotations[0].mask
        assert sample.image.shape == (512, 512, 3)
        assert 0.1 < mask.mean() < 0.4
        assert sample.image[mask].mean() < sample.image[~mask].mean() - 20  # membranes are dark
