"""RIGA in miniature."""

import shutil
from dataclasses import replace

import pytest

from fundusseg import prepare
from fundusseg.datasets import Riga, RigaPlus
from fundusseg.errors import DatasetError, ImageError
from fundusseg.imaging.image_files import read_photograph
from tests.miniatures import riga, riga_plus
from tests.miniatures.shapes import truncate


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("riga")
    riga.build(root)
    return root


@pytest.fixture
def tree(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "tree")


NAMES = [
    "binrushed1-corrected_image1",
    "binrushed2_image1",
    "magrabiamale_image7",
    "magrabifemale_image7",
    "messidor_image1",
]


def test_records(whole):
    records = Riga(whole).records
    assert [record.name for record in records] == NAMES
    assert {len(record.files) for record in records} == {6}
    assert {record.image.suffix for record in records} == {".jpg", ".tif"}


def test_six_experts_with_the_drawn_ratio(whole):
    for sample in Riga(whole):
        truth = riga.truth(sample.record.name)
        for region, shape in (("disc", truth.disc), ("cup", truth.cup)):
            drawn = sample.of(region)
            assert [annotation.expert for annotation in drawn] == [f"expert{number}" for number in range(1, 7)]
            for annotation in drawn:
                assert annotation.mask.sum() == pytest.approx(shape.area, rel=0.02)
        for disc, cup in zip(sample.of("disc"), sample.of("cup"), strict=True):
            height = [int(one.mask.any(axis=1).sum()) for one in (cup, disc)]
            assert height[0] / height[1] == pytest.approx(truth.vertical_cdr, abs=2 / height[1])


def test_copies_without_their_photograph_are_named(whole):
    dataset = Riga(whole)
    said = "; ".join(dataset.remarks())
    assert "left out 4 copies without their photograph (prime): " in said
    assert "BinRushed1/image1-1.jpg" in said
    assert "(BinRushed 2 of 195, Magrabia 2 of 95, MESSIDOR 1 of 460)" in said
    assert dataset.passed_over == ()


def test_a_copy_that_cannot_be_read_leaves_its_expert_out(tree, caplog):
    dataset = Riga(tree)
    record = dataset.records[4]
    shutil.copy(record.image, record.files["expert4"])
    sample = dataset.load(record)
    assert [annotation.expert for annotation in sample.of("disc")] == [f"expert{n}" for n in (1, 2, 3, 5, 6)]
    assert "image1-4.tif left out: " in caplog.text and "grey levels at most" in caplog.text
    dataset.load(record)  # read again, it is counted once
    counted = "the outlines of 1 copies of 1 photographs could not be recovered, so that expert is left out there: "
    assert counted in dataset.remarks()[0] and "image1-4.tif" in dataset.remarks()[0]


def test_a_copy_whose_outlines_cross_is_counted_by_prepare(tree, tmp_path, capsys):
    root = tree / "RIGA" / "MESSIDOR"
    (record,) = Riga(root).records
    disc = riga.truth(record.name).disc
    crossing = read_photograph(record.image).copy()
    for shape in (disc, replace(disc, x=disc.x + disc.a)):
        riga.draw(crossing, shape, (0, 255, 0), width=2)
    riga.write(record.files["expert2"], crossing)
    config = tmp_path / "riga.yaml"
    config.write_text(f"data: {{datasets: [{{class_path: fundusseg.datasets.Riga, init_args: {{root: '{root}'}}}}]}}")
    options = [f"--output={tmp_path / 'out'}", f"--data.cache_dir={tmp_path / 'cache'}", "--data.image_size=32"]
    for _ in range(2):  # the second time the store exists, and the copies are read all the same
        prepare.main([f"--config={config}", *options])
        assert "the outlines of 1 copies of 1 photographs could not be recovered" in capsys.readouterr().out


def test_no_copy_that_can_be_read_is_an_error(tree):
    dataset = Riga(tree)
    record = dataset.records[4]
    for path in record.files.values():
        shutil.copy(record.image, path)
    with pytest.raises(DatasetError, match=r"no copy with two closed lines.*MESSIDOR.image1prime\.tif"):
        dataset.load(record)


def test_a_truncated_copy_is_named(tree):
    dataset = Riga(tree)
    record = dataset.records[0]
    truncate(record.files["expert3"])
    with pytest.raises(ImageError, match=r"image1-3\.tif"):
        dataset.load(record)


def test_a_missing_copy_is_named(tree):
    next(tree.rglob("BinRushed2/image1-5.jpg")).unlink()
    with pytest.raises(DatasetError, match=r"picture without its copy of expert 5: .*BinRushed2.image1prime\.tif"):
        _ = Riga(tree).records


def test_the_photograph_is_the_one_without_lines(whole):
    sample = Riga(whole)[4]
    assert (sample.image == read_photograph(sample.record.image)).all()
    assert (sample.image == riga.PHANTOM[4].image).all()


def test_riga_plus_beside_it_is_not_taken(tree):
    riga_plus.build(tree)
    assert len(Riga(tree)) == 5
    assert "riga" in RigaPlus(tree).same_eyes_as
