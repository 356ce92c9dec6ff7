"""A folder as reading centres have them: mixed files, killed runs, lists."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fundusseg import predict
from fundusseg.errors import ConfigurationError
from fundusseg.imaging.image_files import read_mask
from fundusseg.inference import photograph_stages
from fundusseg.inference.capture import read_capture
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import Predictor
from tests.support.located import segmenter
from tests.support.painter import CUP, DISC, photograph, write_checkpoint

ROOT = Path(__file__).parents[2]
RATIO = CUP.half_height / DISC.half_height


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "a.ckpt")


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """Thirty photographs, two of them broken."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(28):
        image = photograph(800, 860)
        image[number, :, 2] = 255
        Image.fromarray(image).save(folder / f"{number:02}.png")
    (folder / "03 broken.png").write_bytes((folder / "03.png").read_bytes()[:300])
    (folder / "empty.jpg").touch()
    return folder


@pytest.fixture(scope="module")
def whole(many, checkpoint, tmp_path_factory) -> Path:
    """The output of a run that nothing disturbed."""
    output = tmp_path_factory.mktemp("whole") / "out"
    assert predict.main(["--checkpoint", checkpoint, str(many), "--output", str(output)]) == 1
    return output


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(output):
    return pd.read_csv(output / "measures.csv", keep_default_na=False).set_index("file")


def mixed(folder: Path) -> dict[str, float]:
    """Files of every kind; the vertical ratio of those that can be measured."""
    upright = photograph()
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("plain.png", "plain.tif", "plain.bmp", "Œil droit (été) 1.png", "double name.jpg.png"):
        Image.fromarray(upright).save(folder / name)
    Image.fromarray(upright).save(folder / "camera.jpg", quality=95)
    Image.fromarray(np.rot90(upright).copy()).save(folder / "turned.jpg", quality=95, exif=exif)
    Image.fromarray(upright[..., 1]).save(folder / "grey.png")
    Image.fromarray(np.dstack([upright, upright[..., 2]])).save(folder / "rgba.png")
    Image.fromarray(upright).quantize(4).save(folder / "palette.png")
    cv2.imwrite(str(folder / "deep.tif"), upright[..., ::-1].astype(np.uint16) * 257)
    cv2.imwrite(str(folder / "twelve bits.png"), upright[..., ::-1].astype(np.uint16) * 16)
    cv2.imwrite(str(folder / "deep grey.tif"), upright[..., 1].astype(np.uint16) * 257)
    large = cv2.resize(upright, (4300, 4000), interpolation=cv2.INTER_NEAREST)
    Image.fromarray(large).save(folder / "large.jpg", quality=90)
    Image.new("RGB", (300, 200)).save(folder / "black.png")
    (folder / "text.jpg").write_text("no picture")
    (folder / "cut.png").write_bytes((folder / "plain.png").read_bytes()[:200])
    (folder / "cut.jpg").write_bytes((folder / "camera.jpg").read_bytes()[:3000])
    (folder / "empty.tif").touch()
    (folder / "page.png").write_text("<html>not found</html>")
    Image.fromarray(upright[..., 0].astype(np.float32)).save(folder / "float.tif")
    colours = ("plain.png", "plain.tif", "plain.bmp", "Œil droit (été) 1.png", "double name.jpg.png", "camera.jpg")
    colours += ("turned.jpg", "rgba.png", "palette.png", "deep.tif", "twelve bits.png", "large.jpg")
    return dict.fromkeys(colours, RATIO)


@pytest.mark.slow
def test_a_folder_of_mixed_files_runs_to_its_end(checkpoint, tmp_path, capsys):
    expected = mixed(tmp_path / "in")
    output = tmp_path / "out"
    assert predict.main(["--checkpoint", checkpoint, str(tmp_path / "in"), "--output", str(output)]) == 1
    table = rows(output)
    table.index = [Path(name).name for name in table.index]
    for name, ratio in expected.items():
        assert table.error[name] == "" and float(table.vertical_cdr[name]) == pytest.approx(ratio, abs=0.02), name
    # The numbers of a 12-bit camera are those of a sixteenth of the light as well: measured, and a person looks.
    assert "poorly lit" in table.reasons["twelve bits.png"] and table.verdict["twelve bits.png"] != "accept"
    assert "poorly lit" not in table.reasons["deep.tif"]
    bad = {"text.jpg", "cut.png", "cut.jpg", "empty.tif", "page.png", "float.tif"}
    # A grey copy of this picture is one flat white disc.
    flat = {"grey.png", "deep grey.tif"}
    assert all("not sharp" in table.reasons[name] and table.error[name] == "" for name in flat)
    assert set(table.index) == {*expected, *bad, *flat, "black.png"}
    assert set(table.index[table.error != ""]) == bad
    assert all(name in table.error[name] and table.vertical_cdr[name] == "" for name in bad)
    assert (
        table.verdict["black.png"] == "reject"
        and "nothing is lit" in table.reasons["black.png"]
        and table.vertical_cdr["black.png"] == ""
    )
    said = capsys.readouterr().out
    assert all(f"in/{name}: got a" in said for name in bad) and "15 of 21 photographs done" in said
    for name in ("Œil droit (été) 1", "plain.png", "plain.tif", "large", "turned"):
        height, width = (4000, 4300) if name == "large" else (400, 430)
        assert read_mask(output / f"{name}_labels.png").shape == (height, width)
        assert cv2.imdecode(np.fromfile(output / f"{name}_overlay.jpg", np.uint8), 1).shape == (height, width, 3)
    outlines = json.loads((output / "turned_contours.json").read_text())
    assert (outlines["photograph"], outlines["width"], outlines["height"]) == ("turned.jpg", 430, 400)
    x, y = np.array(outlines["contours"]["disc"]).T
    assert np.ptp(y) == pytest.approx(2 * DISC.half_height, abs=3) and x.mean() == pytest.approx(DISC.x, abs=2)
    report = (output / "report.html").read_text("utf-8")
    assert "Œil droit (été) 1.png" in report and report.count("data:image/jpeg;base64,") == 15
    assert report.index("text.jpg") < report.index("black.png") < report.index("plain.png")


def start(checkpoint, many, output, lines) -> subprocess.Popen:
    """A run of its own process, as soon as its journal has so many lines."""
    command = [
        sys.executable,
        "-m",
        "fundusseg.predict",
        "--trust",
        "tests",
        "--checkpoint",
        checkpoint,
        str(many),
        "--output",
        output,
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    journal = Path(output) / "journal" / "rows.jsonl"
    while process.poll() is None and (not journal.is_file() or journal.read_bytes().count(b"\n") < lines):
        time.sleep(0.01)
    return process


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
@pytest.mark.slow
def test_a_second_run_in_one_folder_is_refused(checkpoint, many, whole, tmp_path):
    output = tmp_path / "out"
    process = start(checkpoint, many, str(output), 1)
    with pytest.raises(ConfigurationError, match=r"another predict is writing to: .*out"):
        predict.main(["--checkpoint", checkpoint, str(many), "--output", str(output)])
    assert process.wait() == 1 and content(output) == content(whole)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_files(checkpoint, many, whole, tmp_path):
    output = tmp_path / "out"
    process = start(checkpoint, many, str(output), 6)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    journal = output / "journal" / "rows.jsonl"
    done = [json.loads(line)["name"] for line in journal.read_bytes().splitlines()[:6]]
    assert not (output / "measures.csv").exists()
    with journal.open("ab") as file:
        file.write(b'{"name": "torn in the mid')
    written = {name: (output / f"{name}_labels.png").stat().st_mtime_ns for name in done if "broken" not in name}
    process = start(checkpoint, many, str(output), 14)
    process.terminate()
    assert "stopped; the same command goes on" in process.communicate()[0]
    assert process.returncode == 143 and not list(output.glob("journal/partial*"))
    half = journal.read_bytes().count(b"\n")
    assert 14 <= half < 30
    assert predict.main(["--checkpoint", checkpoint, str(many), "--output", str(output)]) == 1
    assert content(output) == content(whole)
    assert {name: (output / f"{name}_labels.png").stat().st_mtime_ns for name in written} == written


@pytest.mark.slow
def test_what_is_done_is_not_done_again(checkpoint, many, whole, tmp_path, monkeypatch):
    output, asked = tmp_path / "out", []
    shutil.copytree(whole, output)
    monkeypatch.setattr(photograph_stages, "read_capture", lambda one: asked.append(one.path.name) or read_capture(one))
    assert predict.main(["--checkpoint", checkpoint, str(many), "--output", str(output)]) == 1
    # What failed is tried again: a disk may be back.
    assert asked == ["03 broken.png", "empty.jpg"]
    assert content(output) == content(whole)


def test_a_photograph_that_changed_is_done_again(checkpoint, tmp_path):
    (tmp_path / "in").mkdir()
    arguments = ["--checkpoint", checkpoint, str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    Image.new("RGB", (400, 300)).save(tmp_path / "in" / "a.png")
    assert predict.main(arguments) == 0
    assert list(rows(tmp_path / "out").verdict) == ["reject"]
    Image.fromarray(photograph()).save(tmp_path / "in" / "a.png")
    Image.fromarray(photograph()).save(tmp_path / "in" / "0.png")
    assert predict.main(arguments) == 0
    assert list(rows(tmp_path / "out").vertical_cdr.astype(float)) == pytest.approx([RATIO, RATIO], abs=0.02)


@pytest.mark.slow
def test_workers_change_nothing(checkpoint, many, whole, tmp_path):
    predict.main(
        ["--checkpoint", checkpoint, str(many), "--output", str(tmp_path / "out"), "--workers", "3", "--trust", "tests"]
    )
    assert content(tmp_path / "out") == content(whole)


@pytest.mark.slow
def test_a_worker_that_is_ended_ends_the_run_in_one_sentence(many, tmp_path, monkeypatch):
    network = write_checkpoint(tmp_path / "a.ckpt", network="tests.support.ended.EndedInChildren")
    arguments = ["--checkpoint", network, str(many), "--output", str(tmp_path / "out"), "--workers", "2"]
    with pytest.raises(ConfigurationError, match="fewer --workers"):
        predict.main([*arguments, "--trust", "tests"])


def test_another_checkpoint_is_refused(checkpoint, many, tmp_path):
    other = write_checkpoint(tmp_path / "b.ckpt", threshold=0.3)
    one = next(many.glob("*.png"))
    output = ["--output", str(tmp_path / "out")]
    assert predict.main(["--checkpoint", checkpoint, str(one), *output]) == 0
    before = content(tmp_path / "out")
    with pytest.raises(ConfigurationError, match=r"another checkpoint.*--overwrite"):
        predict.main(["--checkpoint", other, str(one), *output])
    assert content(tmp_path / "out") == before
    # The same file by another name is the same checkpoint.
    (tmp_path / "c.ckpt").write_bytes(Path(checkpoint).read_bytes())
    assert predict.main(["--checkpoint", str(tmp_path / "c.ckpt"), str(one), *output]) == 0
    assert predict.main(["--checkpoint", other, str(one), *output, "--overwrite"]) == 0
    assert "b.ckpt" in (tmp_path / "out" / "report.html").read_text()


def test_overwriting_does_everything_again(checkpoint, many, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(photograph_stages, "read_capture", lambda one: asked.append(one.path.name) or read_capture(one))
    base = ["--checkpoint", checkpoint, str(many / "0[0-3]*.png"), "--output", str(tmp_path / "out")]
    assert predict.main(base) == predict.main([*base, "--overwrite"]) == 1
    assert len(asked) == 2 * 5 and len(rows(tmp_path / "out")) == 5
    (tmp_path / "out" / "journal" / "run.json").write_text("{")
    with pytest.raises(ConfigurationError, match=r"damaged journal.*--overwrite"):
        predict.main(base)
    assert predict.main([*base, "--overwrite"]) == 1


@pytest.mark.parametrize("former", [["--shard", "1/2"], ["--shard=1/2"], ["--merge"]])
def test_former_options_say_what_has_taken_their_place(checkpoint, many, tmp_path, former):
    output = ["--output", str(tmp_path / "out")]
    with pytest.raises(ConfigurationError, match=rf"{former[0][:7]}, which is no more.*one run over the whole list"):
        predict.main(["--checkpoint", checkpoint, str(many), *output, *former])
    assert not (tmp_path / "out").exists()


def test_what_a_folder_holds_beside_photographs_is_counted_and_listed(checkpoint, many, tmp_path, capsys):
    for name in ("eye.png", "@eaDir/eye.png/thumb.png", ".ipynb_checkpoints/eye.png", "study.zip", "notes.txt"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes((many / "00.png").read_bytes())
    arguments = ["--checkpoint", checkpoint, str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    last = "1 of 1 photographs done; passed over: 1 .txt, 1 .zip, 2 hidden; measures in"
    assert predict.main(arguments) == 0 and last in capsys.readouterr().out
    report = (tmp_path / "out" / "report.html").read_text()
    assert "1 .zip" in report and "study.zip" in report and "2 hidden" in report
    before = content(tmp_path / "out")
    assert predict.main(arguments) == 0 and content(tmp_path / "out") == before


def test_two_folders_named_by_relative_paths_stay_in_the_output(checkpoint, many, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "other").mkdir()
    for place in ("here", "other"):
        (tmp_path / place / "img.png").write_bytes((many / "00.png").read_bytes())
    monkeypatch.chdir(tmp_path / "here")
    assert predict.main(["--checkpoint", checkpoint, "img.png", "../other/img.png", "--output", "predictions"]) == 0
    assert sorted(path.name for path in (tmp_path / "other").iterdir()) == ["img.png"]
    made = sorted(path.relative_to("predictions").as_posix() for path in Path("predictions").rglob("*_labels.png"))
    assert made == ["here/img_labels.png", "other/img_labels.png"]


@pytest.mark.slow
def test_a_console_of_a_small_code_page_ends_no_run(checkpoint, tmp_path):
    (tmp_path / "眼底 π.png").write_text("no picture")
    Image.fromarray(photograph()).save(tmp_path / "Œil.png")
    command = [
        sys.executable,
        "-m",
        "fundusseg.predict",
        "--trust",
        "tests",
        "--checkpoint",
        checkpoint,
        str(tmp_path),
        "--output",
    ]
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    done = subprocess.run(
        [*command, str(tmp_path / "out")], cwd=ROOT, env=environment, capture_output=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert rb"\u773c\u5e95 \u03c0.png" in done.stdout and b"1 of 2 photographs done" in done.stdout
    assert "眼底 π.png" in (tmp_path / "out" / "measures.csv").read_text("utf-8")


def test_lists_from_a_file_and_from_standard_input(checkpoint, many, tmp_path, monkeypatch):
    (tmp_path / "list.csv").write_text(
        f"file,eye\n{many / '05.png'},OS\n{tmp_path / 'gone.png'},\n{many / '01.png'},x\n"
    )
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{many / '07.png'}\n{tmp_path / 'nowhere.jpg'}\n"))
    output = tmp_path / "out"
    assert predict.main(["--checkpoint", checkpoint, str(tmp_path / "list.csv"), "-", "--output", str(output)]) == 1
    table = rows(output)
    assert [Path(name).name for name in table.index] == ["05.png", "gone.png", "01.png", "07.png", "nowhere.jpg"]
    assert list(table.eye) == ["OS", "", "", "OS", ""]  # the fourth by its disc's place
    assert [bool(error) for error in table.error] == [False, True, True, False, True]
    assert "no file at" in table.error.iloc[1] and "eye 'x'" in table.error.iloc[2]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have Unicode names only")
def test_a_name_that_is_no_unicode(checkpoint, tmp_path):
    name = os.fsencode(tmp_path) + b"/caf\xe9.png"
    stream = io.BytesIO()
    Image.fromarray(photograph()).save(stream, "PNG")
    Path(os.fsdecode(name)).write_bytes(stream.getvalue())
    output = tmp_path / "out"
    assert predict.main(["--checkpoint", checkpoint, str(tmp_path), "--output", str(output)]) == 0
    assert list(rows(output).index) == [f"{tmp_path}/caf\\udce9.png"]
    assert os.path.exists(os.fsencode(output) + b"/caf\xe9_labels.png")  # noqa: PTH110 - a name in bytes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--workers", "0"], "0 workers"),
        (["--workers", "2", "--device", "tpu"], "leave --workers out"),
        (["--runtime", "onnx", "--compile", "true"], "leave the others out"),
        (["--precision", "bf17"], "bf17"),
        (["--compile", "perhaps"], "perhaps"),
        (["--views", "9"], "9 views"),
        (["--millimetres_per_pixel", "-1"], "scale of -1.0"),
    ],
)
def test_a_wrong_setting_is_one_sentence(checkpoint, many, tmp_path, arguments, words):
    with pytest.raises(ConfigurationError, match=words):
        predict.main(["--checkpoint", checkpoint, str(many), "--output", str(tmp_path / "out"), *arguments])
    assert not (tmp_path / "out").exists()


def test_provenance_names_the_sources_of_every_network(checkpoint):
    parts = {"crops": "CC BY", "photographs": "research only"}
    networks = []
    for source, licence in parts.items():
        made = segmenter((1,), ("disc",), roi="field_of_view")
        made.description = replace(made.description, sources={source: licence})
        networks.append(made)
    made_by = predict.provenance(Predictor(Bundle((networks[0],), networks[1])), Path(checkpoint))
    assert made_by["trained on"] == {"crops": "(CC BY)", "photographs": "(research only)"}


def test_an_output_folder_that_cannot_be_written_to(checkpoint, many, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be written to"):
        predict.main(["--checkpoint", checkpoint, str(many), "--output", str(tmp_path / "file")])


def test_charts_are_drawn_where_asked_for(checkpoint, tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(photograph()).save(tmp_path / "in" / "left_eye.png")
    arguments = ["--checkpoint", checkpoint, str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    assert predict.main([*arguments, "--charts=true"]) == 0
    assert cv2.imread(str(tmp_path / "out" / "left_eye_chart.png")).shape == (600, 1200, 3)
    assert list(rows(tmp_path / "out").eye) == ["OS"]
