"""G1020 in miniature."""

import json

import pytest

from fundusseg.datasets import G1020, DrionsDB
from fundusseg.errors import DatasetError, ImageError
from tests.miniatures import drions_db, g1020
from tests.miniatures.shapes import CUP, DISC, RATIO, ellipse, extent, labels, save, truncate, vertical_ratio


@pytest.fixture
def tree(tmp_path):
    g1020.build(tmp_path)
    return tmp_path


@pytest.mark.parametrize("drawn", ["json", "png", "both"])
def test_a_photograph_without_a_cup_has_the_region_disc_alone(tmp_path, drawn):
    g1020.build(tmp_path, drawn)
    records = G1020(tmp_path).records
    assert [(r.name, r.diagnosis, r.regions) for r in records] == [
        ("image_0", "healthy", ("disc", "cup")),
        ("image_1", "glaucoma", ("disc", "cup")),
        ("image_12", "healthy", ("disc",)),
    ]
    sample = G1020(tmp_path)[2]
    assert [annotation.region for annotation in sample.annotations] == ["disc"]
    assert sample.of("cup") == ()


@pytest.mark.parametrize("drawn", ["json", "png"])
def test_polygons_and_masks_have_the_drawn_ratio(tmp_path, drawn):
    g1020.build(tmp_path, drawn)
    disc, cup = (annotation.mask for annotation in G1020(tmp_path)[0].annotations)
    assert disc.sum() == pytest.approx(ellipse(DISC).sum(), rel=0.01)
    assert cup.sum() == pytest.approx(ellipse(CUP).sum(), rel=0.01)
    assert vertical_ratio(cup, disc) == pytest.approx(RATIO, abs=2 / extent(disc))


def test_without_the_table_the_diagnosis_is_not_told(tmp_path):
    g1020.build(tmp_path, table=False)
    assert {record.diagnosis for record in G1020(tmp_path).records} == {None}


def changed(tree, change):
    content = g1020.polygons()
    change(content)
    next(tree.rglob("image_0.json")).write_text(json.dumps(content))
    return G1020(tree)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["shapes"].pop(0), "no polygon disc in"),
        (lambda c: c["shapes"].append(c["shapes"][0]), "two polygons disc in"),
        (lambda c: c["shapes"][0].update(points=[[10, 10], [20, 20]]), "a contour of 2 points: disc in"),
        (lambda c: c["shapes"][2].update(points=[[10, 10], [20, 20], [500, 30]]), "the point x 500, y 30 in cup in"),
        (lambda c: c["shapes"][0].update(points=[["a", 10], [20, 20]]), "not of LabelMe"),
        (lambda c: c["shapes"][0].update(points=[[1, 2, 3], [20, 20]]), "not of LabelMe"),
        (lambda c: c.pop("shapes"), "not of LabelMe"),
        (lambda c: c.update(imageWidth=3000), r"polygon mask of 3000 x 96 pixels for .*image_0\.jpg"),
    ],
)
def test_polygons_that_cannot_be_are_named(tree, change, message):
    with pytest.raises(DatasetError, match=rf"{message}.*image_0\.json"):
        _ = changed(tree, change)[0]


@pytest.mark.parametrize(
    ("codes", "message"),
    [(ellipse() * 3, "the value 3 in"), (ellipse() * 0, r"no disc pixel marked for .*image_1\.jpg")],
)
def test_a_mask_that_cannot_be_is_named(tmp_path, codes, message):
    g1020.build(tmp_path, "png")
    save(next(tmp_path.rglob("image_1.png")), codes)
    with pytest.raises(DatasetError, match=rf"{message}.*image_1\.png"):
        _ = G1020(tmp_path)[1]


def test_a_truncated_mask_is_named_when_the_records_are_asked_for(tmp_path):
    g1020.build(tmp_path, "png")
    truncate(next(tmp_path.rglob("image_1.png")))
    with pytest.raises(ImageError, match=r"image_1\.png"):
        _ = G1020(tmp_path).records


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("image_1.jpg,1\n", "", r"no line for .*image_1\.jpg"), (",1\n", ",yes\n", "'yes' as binaryLabels of image_1")],
)
def test_a_table_that_does_not_fit_is_named(tree, old, new, message):
    next(tree.rglob("G1020.csv")).write_text(g1020.TABLE.replace(old, new))
    with pytest.raises(DatasetError, match=rf"{message}.*G1020\.csv"):
        _ = G1020(tree).records


def test_beside_drions_db_each_takes_its_own(tmp_path):
    """Both name their photographs images/image_100.jpg."""
    g1020.build(tmp_path)
    drions_db.build(tmp_path, count=2)
    save(tmp_path / "DRIONS-DB" / "images" / "image_1.jpg", ellipse())
    dataset, drions = G1020(tmp_path), DrionsDB(tmp_path)
    assert [record.name for record in dataset.records] == ["image_0", "image_1", "image_12"]
    assert len(dataset.passed_over) == 3 and "passed over 3 pictures" in "; ".join(dataset.remarks())
    (tmp_path / "DRIONS-DB" / "images" / "image_1.jpg").unlink()
    assert [record.name for record in drions.under(tmp_path).records] == ["image_001", "image_002"]


def test_a_damaged_cell_of_a_copys_table(tree):
    next(tree.rglob("G1020.csv")).write_text(g1020.TABLE.replace("image_12.jpg,0", "image_12.jpg,0[imageindex]"))
    assert [record.diagnosis for record in G1020(tree).records] == ["healthy", "glaucoma", "healthy"]


def test_kaggles_renditions_are_no_photographs(tmp_path):
    g1020.build(tmp_path, "both")
    for folder in ("Images_Square", "Images_Cropped/img", "NerveRemoved_Images"):
        save(tmp_path / "G1020" / folder / "image_0.jpg", ellipse())
    for folder in ("Masks_Square", "Masks_Cropped/img"):
        save(tmp_path / "G1020" / folder / "image_0.png", ellipse())
    dataset = G1020(tmp_path)
    assert len(dataset) == 3 and dataset.passed_over == () and dataset.form() == "LabelMe polygons"
    said = "; ".join(dataset.remarks())
    assert "5 cropped, squared or painted-over copies" in said and "3 masks of the polygons" in said


@pytest.mark.parametrize("code", [(0, 128, 255), (255, 128, 0)])
def test_masks_in_another_code(tmp_path, code):
    g1020.build(tmp_path, "png")
    for number in (0, 1):
        save(tmp_path / "G1020" / "Masks" / f"image_{number}.png", labels(*code))
    sample = G1020(tmp_path)[0]
    assert vertical_ratio(sample.of("cup")[0].mask, sample.of("disc")[0].mask) == pytest.approx(RATIO, abs=0.03)
