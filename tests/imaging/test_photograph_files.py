"""One walk for photographs and datasets: links once, systems' own files aside, every file accounted for."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fundusseg.imaging.image_files import SUFFIXES, read_photograph
from fundusseg.imaging.photograph_files import HIDDEN, NO_ENDING, UNREADABLE, walk

NOT_TAKEN = {
    *(".ico", ".icns", ".cur", ".xbm", ".xpm", ".gbr", ".msp"),  # icons and brushes
    *(".mpg", ".mpeg", ".fli", ".flc", ".avifs"),  # films
    *(".blp", ".dds", ".ftc", ".ftu", ".vda", ".vst", ".icb", ".pxr"),  # textures and what film studios render
    *(".ps", ".eps", ".wmf", ".emf"),  # documents, which need a foreign program
    *(".dcx", ".iim", ".im", ".pcd", ".bw", ".rgba"),  # fax pages, press photographs, long dead systems
    *(".bufr", ".grib", ".h5", ".hdf", ".fit", ".fits", ".pfm"),  # weather, stars, floating point
}


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_every_ending_that_pillow_reads_is_taken_or_left_out_for_a_reason():
    Image.init()
    readable = {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    assert readable - NOT_TAKEN <= SUFFIXES and not SUFFIXES & NOT_TAKEN


@pytest.mark.parametrize("suffix", sorted(SUFFIXES - {".psd", ".ras", ".qoi"}))  # Pillow reads, does not write these
def test_each_ending_is_decoded(tmp_path, suffix):
    Image.init()
    if Image.registered_extensions().get(suffix) not in Image.SAVE:
        pytest.skip(f"this Pillow was built without {suffix}")
    Image.new("1" if suffix == ".pbm" else "RGB", (40, 30), "white").save(tmp_path / f"a{suffix}")
    assert read_photograph(tmp_path / f"a{suffix}").shape == (30, 40, 3)


def test_files_of_systems_and_programs_are_passed_over(tmp_path):
    eye = write(tmp_path / "clinic" / "eye.JPG")
    aside = [".ipynb_checkpoints/a.jpg", ".Trash-1000/files/b.jpg", "@eaDir/eye.jpg/SYNO.jpg", "__MACOSX/clinic/c.jpg"]
    hidden = [write(tmp_path / name) for name in (*aside, ".AppleDouble/d.jpg", "clinic/._eye.JPG")]
    thumbs, plain = write(tmp_path / "Thumbs.db"), write(tmp_path / "README")
    content = walk(tmp_path, SUFFIXES)
    assert content.files == (eye,)
    assert content.passed_over == {**dict.fromkeys(hidden, HIDDEN), thumbs: ".db", plain: NO_ENDING}
    assert set(walk(tmp_path).files) == {eye, thumbs, plain}


def test_a_hidden_folder_that_is_given_is_read(tmp_path):
    inside = write(tmp_path / ".cache" / "eye.png")
    assert walk(tmp_path / ".cache", SUFFIXES).files == (inside,)


def test_links_are_followed_once(tmp_path):
    root = tmp_path / "root"
    real, outside = write(root / "b" / "eye.png"), write(tmp_path / "storage" / "c" / "eye.png")
    (root / "a").symlink_to(root / "b")  # its name comes first, and still the real folder's path counts
    (root / "b" / "up").symlink_to(root)
    (root / "linked").symlink_to(outside.parents[1])
    (root / "linked again").symlink_to(outside.parents[1])
    (root / "eye.png").symlink_to(outside)
    (root / "loop").symlink_to(root / "loop")
    (root / "gone.png").symlink_to(tmp_path / "gone.png")
    content = walk(root, SUFFIXES)
    assert content.files == (real, root / "eye.png", root / "gone.png", root / "linked" / "c" / "eye.png")
    assert set(content.passed_over) == {root / "loop"}


def test_what_cannot_be_listed_is_told(tmp_path, monkeypatch):
    write(tmp_path / "locked" / "eye.png")
    scandir = os.scandir

    def deny(folder):
        if Path(folder).name == "locked":
            raise PermissionError(13, "denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", deny)  # the tests may run as root, whom no permission stops
    assert walk(tmp_path).passed_over == {tmp_path / "locked": UNREADABLE}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes in folders")
def test_a_pipe_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "eye.png")
    assert walk(tmp_path, SUFFIXES).passed_over == {tmp_path / "eye.png": ".png"}


def test_a_folder_that_is_skipped_is_not_told(tmp_path):
    write(tmp_path / "out" / "eye.png")
    assert walk(tmp_path, skip=lambda folder: folder.name == "out").passed_over == {}


NAMES = st.sampled_from(["a", "b.png", ".c", "._d.jpg", "@eaDir", "e.TXT", "f.jpeg", "__MACOSX", "no ending"])


@given(st.sets(st.lists(NAMES, min_size=1, max_size=4).map(tuple), max_size=12))
def test_every_file_is_found_or_passed_over(tmp_path_factory, places):
    root = tmp_path_factory.mktemp("tree")
    files = set()
    for parts in sorted(places):
        try:
            files.add(write(root.joinpath(*parts)))
        except OSError:  # a file stands where this one wants a folder
            continue
    files = {path for path in files if path.is_file()}
    content = walk(root, SUFFIXES)
    assert {*content.files, *content.passed_over} == files and not set(content.files) & set(content.passed_over)
