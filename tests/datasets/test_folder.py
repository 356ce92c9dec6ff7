"""The user's own folder in every code, and the real crops where there are any."""

import csv
import logging
import shutil
from unicodedata import normalize

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fundusseg.datasets import Folder
from fundusseg.errors import ConfigurationError, DatasetError, EmptyMaskError, ImageError
from tests.miniatures import folder
from tests.miniatures.shapes import CUP, DISC, RATIO, ellipse, extent, photograph, save, truncate, vertical_ratio


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    folder.build(root)
    return root


def masks(sample):
    return {annotation.region: annotation.mask for annotation in sample.annotations}


@pytest.mark.parametrize("drawn", [*folder.CODES, *folder.BINARY])
@pytest.mark.parametrize("given", [False, True])
def test_every_code_gives_the_drawn_masks(tmp_path, drawn, given, caplog):
    folder.build(tmp_path, drawn)
    code = drawn if drawn in folder.CODES else "binary"
    dataset = Folder(tmp_path, code=code if given else "auto")
    with caplog.at_level(logging.INFO):
        found = masks(dataset[0])
    assert dataset.code == code
    assert (f"have the code {code}" in caplog.text) is not given
    assert np.array_equal(found["disc"], ellipse(DISC))
    assert np.array_equal(found["cup"], ellipse(CUP))
    assert vertical_ratio(found["cup"], found["disc"]) == pytest.approx(RATIO, abs=1 / extent(found["disc"]))


@pytest.mark.parametrize("drawn", [*folder.CODES, *folder.BINARY])
def test_one_region_of_two(tmp_path, drawn):
    folder.build(tmp_path, drawn)
    for region, axes in (("disc", DISC), ("cup", CUP)):
        dataset = Folder(tmp_path, regions=(region,))
        found = masks(dataset[1])
        assert list(found) == [region]
        assert np.array_equal(found[region], ellipse(axes))
        assert dataset.records[0].regions == (region,)


@pytest.mark.parametrize("white", [1, 255])
def test_one_region_may_stand_in_plain_binary_masks(tmp_path, white):
    folder.build(tmp_path)
    for name in folder.NAMES:
        save(tmp_path / "masks" / f"{name}.png", ellipse().astype(np.uint8) * white)
    dataset = Folder(tmp_path, regions=("sclera",), name="mine")
    sample = dataset[0]
    assert (dataset.code, sample.record.key) == ("binary", "mine/a_left")
    assert np.array_equal(masks(sample)["sclera"], ellipse())


def test_other_folder_names(tmp_path):
    folder.build(tmp_path)
    (tmp_path / "images").rename(tmp_path / "photos (new)")
    (tmp_path / "masks").rename(tmp_path / "truth")
    assert len(Folder(tmp_path, images="photos (new)", masks="truth")) == 3


def test_the_table_fills_the_records(tmp_path):
    folder.build(tmp_path)
    records = Folder(tmp_path, csv="table.csv").records
    assert [(r.name, r.patient, r.eye, r.diagnosis, r.subset) for r in records] == [
        ("a_left", "a", "OS", "glaucoma", "train"),
        ("a_right", "a", "OD", None, "train"),
        ("b_left", "b", "OS", "healthy", "test"),
    ]
    assert [record.patient for record in Folder(tmp_path).records] == list(folder.NAMES)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("image,", "picture,", r"no column image \(but picture, patient, eye, diagnosis, split\) in"),
        ("b_left,", "c_left,", "'c_left', which is no picture, in"),
        ("a_right,", "a_left,", "'a_left' twice, in line 3 of"),
        ("a_right,a,OD,,train\n", "", r"no line for .*a_right\.jpg"),
        ("OD", "both", "'both' as eye of a_right in"),
        ("healthy", "well", "'well' as diagnosis of b_left in"),
        ("test", "exam", "'exam' as split of b_left in"),
    ],
)
def test_a_table_that_does_not_fit_is_named(tmp_path, old, new, message):
    folder.build(tmp_path)
    assert old in folder.TABLE
    (tmp_path / "table.csv").write_text(folder.TABLE.replace(old, new))
    with pytest.raises(DatasetError, match=rf"{message}.*table\.csv"):
        _ = Folder(tmp_path, csv="table.csv").records


def test_a_missing_table_is_named(tmp_path):
    folder.build(tmp_path)
    with pytest.raises(DatasetError, match=r"no table at .*none\.csv"):
        _ = Folder(tmp_path, csv="none.csv").records


@pytest.mark.parametrize(
    "codes",
    [
        ellipse(DISC) * 255,  # one region or a cup without rim
        255 - ellipse(DISC) * 255,
        ellipse(DISC) * 1,
        ellipse(DISC) * 1 + ellipse(CUP) * 2,  # 0, 1, 3
        2 - ellipse(DISC) * 1 - ellipse(CUP),  # 0/1/2 the other way round
        np.where(ellipse((90, 90)), np.where(ellipse(CUP), 255, 128), 0),  # a disc over the border
    ],
)
def test_a_code_that_cannot_be_told_is_refused(tmp_path, codes):
    folder.build(tmp_path)
    for name in folder.NAMES:
        save(tmp_path / "masks" / f"{name}.png", codes)
    with pytest.raises(DatasetError, match=r"do not tell the code for disc and cup.*give the code"):
        _ = Folder(tmp_path).records


@pytest.mark.parametrize("broken", ["picture", "mask"])
@pytest.mark.parametrize("drawn", ["0/1/2", *folder.BINARY])
def test_orphans_on_either_side_are_named(tmp_path, drawn, broken):
    folder.build(tmp_path, drawn)
    files = sorted(tmp_path.rglob("*.jpg" if broken == "picture" else "*b_left*.png"))
    files[-1].unlink()
    with pytest.raises(DatasetError, match=r"without its .*b_left"):
        _ = Folder(tmp_path).records


def test_both_kinds_of_masks_are_refused(tmp_path):
    folder.build(tmp_path, "0/1/2")
    folder.build(tmp_path, "folders")
    with pytest.raises(DatasetError, match=r"masks for all regions together .* and for one region"):
        _ = Folder(tmp_path).records


def test_an_unknown_value_is_named(tmp_path):
    folder.build(tmp_path)
    save(tmp_path / "masks" / "a_left.png", ellipse(DISC) * 7)
    with pytest.raises(DatasetError, match=r"the value 7 in .*a_left\.png.*values 0, 1, 2;"):
        _ = Folder(tmp_path, code="0/1/2")[0]


def test_a_grey_binary_mask_is_refused(tmp_path):
    folder.build(tmp_path, "folders")
    save(tmp_path / "masks" / "disc" / "a_left.png", ellipse(DISC) * 255 - ellipse(CUP) * 100)
    with pytest.raises(DatasetError, match=r"the value 155 in .*a_left\.png"):
        _ = Folder(tmp_path)[0]


def test_an_empty_region_is_named(tmp_path):
    folder.build(tmp_path)
    save(tmp_path / "masks" / "a_left.png", ellipse(DISC))
    with pytest.raises(DatasetError, match=r"no cup pixel marked for .*a_left\.jpg"):
        _ = Folder(tmp_path, code="0/1/2")[0]


def test_a_mask_of_another_size_is_named(tmp_path):
    folder.build(tmp_path)
    save(tmp_path / "masks" / "a_left.png", ellipse(shape=(80, 112)) * 1)
    with pytest.raises(DatasetError, match=r"disc mask of 112 x 80 pixels for .*a_left\.jpg"):
        _ = Folder(tmp_path, code="0/1/2")[0]


@pytest.mark.parametrize("name", ["images/a_left.jpg", "masks/a_left.png"])
def test_a_truncated_file_is_named(tmp_path, name):
    folder.build(tmp_path)
    truncate(tmp_path / name)
    with pytest.raises(ImageError, match=name):
        _ = Folder(tmp_path, code="0/1/2")[0]


def test_one_broken_mask_does_not_hide_the_others_code(tmp_path):
    folder.build(tmp_path)
    truncate(tmp_path / "masks" / "a_left.png")
    dataset = Folder(tmp_path)
    assert dataset.code == "0/1/2" and len(dataset.records) == 3
    assert dataset[1].of("disc")[0].mask.any()
    with pytest.raises(ImageError, match=r"masks/a_left.png"):
        _ = dataset[0]
    for path in (tmp_path / "masks").iterdir():
        truncate(path)
    with pytest.raises(ImageError, match=r"masks/"):
        _ = Folder(tmp_path).records


def test_settings_that_cannot_be_are_refused_at_once(tmp_path):
    with pytest.raises(ConfigurationError, match=r"code='1/2/3'.*one of auto, 0/1/2"):
        Folder(tmp_path, code="1/2/3")
    with pytest.raises(ConfigurationError, match=r"regions=.*sclera"):
        Folder(tmp_path, code="0/1/2", regions=("sclera",))
    with pytest.raises(ConfigurationError, match=r"regions="):
        Folder(tmp_path, regions=())
    folder.build(tmp_path, "folders")
    with pytest.raises(ConfigurationError, match=r"code='0/1/2' for a mask file for each region"):
        _ = Folder(tmp_path, code="0/1/2").records


def test_one_binary_mask_does_not_tell_two_regions_apart(tmp_path):
    folder.build(tmp_path)
    with pytest.raises(ConfigurationError, match=r"code='binary' for one mask for all regions.*0/1/2 or 0/128/255"):
        _ = Folder(tmp_path, code="binary").records


@pytest.mark.parametrize(
    ("drawn", "remark"),
    [
        ("0/1/2", "masks read as 0/1/2 (background, rim, cup)"),
        ("255/128/0", "masks read as 255/128/0 (background, rim, cup)"),
        ("suffix", "masks read as binary (0 outside, 1 or 255 inside)"),
    ],
)
def test_the_remark_names_the_code(tmp_path, drawn, remark):
    folder.build(tmp_path, drawn)
    assert Folder(tmp_path).remark() == remark


CELL = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8)


@settings(max_examples=50, deadline=None)
@given(lines=st.permutations(folder.NAMES), cells=st.tuples(CELL, CELL, CELL), ending=st.sampled_from(["", ".jpg"]))
def test_the_patient_is_the_cell_or_the_picture_itself(pictures, lines, cells, ending):
    patients = dict(zip(lines, cells, strict=True))
    with (pictures / "patients.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["patient", "image"], *([patients[name], name + ending] for name in lines)])
    records = Folder(pictures, csv="patients.csv").records
    assert {record.name: record.patient for record in records} == {
        name: patient.strip() or name for name, patient in patients.items()
    }


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "count", "code"), [("REFUGE-crops", 241, "255/128/0"), ("ORIGA-crops", 30, "0/1/2")])
def test_real_crops(realdata, name, count, code):
    dataset = Folder(realdata / name, name=name)
    assert (len(dataset), dataset.code) == (count, code)
    for record in dataset.records[:: count // 10]:
        found = masks(dataset.load(record))
        assert not (found["cup"] & ~found["disc"]).any()
        assert 0.2 < vertical_ratio(found["cup"], found["disc"]) < 0.95


def table(place, text: str, encoding: str = "utf-8") -> list[tuple]:
    (place / "own.csv").write_bytes(text.encode(encoding))
    return [(r.name, r.patient, r.eye, r.subset) for r in Folder(place, csv="own.csv").records]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("image;patient;eye;split\na_left;Ä;OS;train\na_right;Ä;OD;train\nb_left;b;OS;test\n", "latin-1"),
        ("Image\tPatient\tEYE\tSplit\na_left\tÄ\tleft\tTrain\na_right\tÄ\tR\ttrain\nb_left\tb\tL\tTEST\n", "utf-16"),
        (
            "\ufefffile,patient,eye,split\nimages\\a_left.jpg,Ä,os,train\nC:\\x\\a_right.jpg,Ä,Right,train\nb_left,b,l,test\n",
            "utf-8",
        ),
    ],
)
def test_a_table_is_read_as_a_list_for_predict_is(pictures, text, encoding):
    assert table(pictures, text, encoding) == [
        ("a_left", "Ä", "OS", "train"),
        ("a_right", "Ä", "OD", "train"),
        ("b_left", "b", "OS", "test"),
    ]


def test_names_are_compared_in_the_composed_form(tmp_path):
    for place, form in (("images", "NFD"), ("masks", "NFC")):
        save(
            tmp_path / place / f"{normalize(form, 'Müller')}.png",
            photograph(1) if place == "images" else 1 * ellipse(DISC) + ellipse(CUP),
        )
    assert [row[:3] for row in table(tmp_path, normalize("NFD", "image,eye\nMüller.png,OD\n"))] == [
        ("Müller", "Müller", "OD")
    ]


@pytest.mark.parametrize("names", [("OD", "OC"), ("od", "oc"), ("Disc", "CUP"), ("optic_disc", "Optic Cup")])
@pytest.mark.parametrize("as_folders", [True, False])
def test_obvious_names_of_the_regions_are_taken(tmp_path, names, as_folders):
    folder.build(tmp_path, "folders")
    for region, name in zip(("disc", "cup"), names, strict=True):
        (tmp_path / "masks" / region).rename(tmp_path / "masks" / f"moved {region}")
        for path in sorted((tmp_path / "masks" / f"moved {region}").iterdir()):
            goal = tmp_path / "masks" / (f"{name}/{path.name}" if as_folders else f"{path.stem}_{name}.png")
            goal.parent.mkdir(exist_ok=True)
            path.rename(goal)
    dataset = Folder(tmp_path)
    assert dataset.code == "binary" and len(dataset.records) == 3
    assert all(
        (mask == ellipse(shape)).all() for mask, shape in zip(masks(dataset[0]).values(), (DISC, CUP), strict=True)
    )


def test_a_right_eye_is_no_disc(tmp_path):
    folder.build(tmp_path, "folders")
    (tmp_path / "masks" / "disc").rename(tmp_path / "masks" / "OD")
    (tmp_path / "masks" / "cup").rename(tmp_path / "masks" / "OS")
    with pytest.raises(
        DatasetError, match=r"3 lie in OD, which is none of disc, cup: masks/OD/a_left\.png.*3 lie in OS"
    ):
        _ = Folder(tmp_path).records


def test_no_mask_names_what_lies_there(tmp_path):
    folder.build(tmp_path)
    for path in (tmp_path / "masks").iterdir():
        path.rename(path.with_suffix(".npy"))
    (tmp_path / "masks" / "deep" / "er").mkdir(parents=True)
    save(tmp_path / "masks" / "deep" / "er" / "a_left.png", ellipse(DISC))
    with pytest.raises(
        DatasetError, match=r"3 end in \.npy.*a_left\.npy.*1 lie in folders of folders: masks/deep/er/a_left"
    ):
        _ = Folder(tmp_path).records


def test_masks_may_be_gif(tmp_path):
    folder.build(tmp_path)
    for path in sorted((tmp_path / "masks").iterdir()):
        Image.open(path).save(path.with_suffix(".gif"))
        path.unlink()
    found = masks(Folder(tmp_path)[0])
    assert (found["disc"] == ellipse(DISC)).all() and (found["cup"] == ellipse(CUP)).all()


@pytest.mark.parametrize("drawn", ["0/1/2", "folders"])
def test_an_eye_without_a_cup_keeps_its_disc_where_that_is_said(tmp_path, drawn):
    folder.build(tmp_path, drawn)
    if drawn == "folders":
        save(tmp_path / "masks" / "cup" / "a_left.png", 0 * ellipse(CUP))
    else:
        save(tmp_path / "masks" / "a_left.png", ellipse(DISC))
    with pytest.raises(EmptyMaskError, match=r"no cup pixel marked .*a_left.*empty_cup"):
        _ = Folder(tmp_path)[0]
    dataset = Folder(tmp_path, empty_cup=True)
    found = masks(dataset[0])
    assert (found["disc"] == ellipse(DISC)).all() and not found["cup"].any() and masks(dataset[1])["cup"].any()
    assert dataset.remark().endswith("an empty cup is an eye without one")
    save(tmp_path / "masks" / ("disc/b_left.png" if drawn == "folders" else "b_left.png"), 0 * ellipse(DISC))
    with pytest.raises(EmptyMaskError, match=r"no disc pixel marked"):
        _ = Folder(tmp_path, empty_cup=True)[2]


def test_a_table_cut_within_a_letter_is_told(tmp_path):
    folder.build(tmp_path)
    (tmp_path / "table.csv").write_bytes(folder.TABLE.encode("utf-16")[:-1])
    with pytest.raises(DatasetError, match=r"a table that cannot be read .*table\.csv"):
        _ = Folder(tmp_path, csv="table.csv").records


def build_experts(root, drawn):
    """Binary masks of several experts: names that each has drawn."""
    folder.build(root, "folders")
    shutil.rmtree(root / "masks")
    for number, (expert, names) in enumerate(drawn.items()):
        for name in names:
            for region, shape in (("disc", DISC), ("cup", CUP)):
                mask = np.roll(ellipse(shape), number, axis=1).astype(np.uint8) * 255
                save(root / "masks" / expert / region / f"{name}.png", mask)


def test_several_experts_each_have_a_part_of_the_pictures(tmp_path):
    build_experts(tmp_path, {"anna": folder.NAMES, "bob": folder.NAMES[:1]})
    dataset = Folder(tmp_path, csv="table.csv")
    first, second, _ = (dataset[number] for number in range(3))
    assert [annotation.expert for annotation in first.of("disc")] == ["anna", "bob"]
    assert [annotation.expert for annotation in second.of("cup")] == ["anna"]
    assert np.array_equal(first.of("cup")[1].mask, np.roll(ellipse(CUP), 1, axis=1))
    assert first.record.patient == "a"


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("masks/bob/cup/a_left.png", r"picture without its bob's cup mask: .*a_left"),
        ("images/b_left.jpg", r"anna's disc mask without its picture: .*b_left"),
        ("masks/anna/*/b_left.png", r"picture without its expert's mask: .*b_left"),
    ],
)
def test_what_an_expert_lacks_is_named(tmp_path, gone, message):
    build_experts(tmp_path, {"anna": folder.NAMES, "bob": folder.NAMES[:1]})
    for path in tmp_path.glob(gone):
        path.unlink()
    with pytest.raises(DatasetError, match=message):
        _ = Folder(tmp_path).records
