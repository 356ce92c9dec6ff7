"""Whatever is killed meanwhile, a run on a cluster comes to the files of a run in one process, each photograph once."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydicom import dcmread

from fundusseg import predict
from fundusseg.errors import ConfigurationError
from fundusseg.patients.run_files import WRITTEN
from tests.cluster.conftest import ROOT, below, wait
from tests.support.dicom_objects import dicom_photograph, write
from tests.support.painter import photograph, write_checkpoint
from tests.support.slow_painter import NOTES

COUNT = int(os.environ.get("FUNDUSSEG_CLUSTER_PHOTOGRAPHS", "96"))
NODES = int(os.environ.get("FUNDUSSEG_CLUSTER_NODES", "2"))
"""2,000 photographs on 4 nodes are run by hand."""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Photographs, one of them broken and two in a DICOM file, a checkpoint, and what one process makes of them."""
    place = tmp_path_factory.mktemp("cluster")
    (place / "in" / "left").mkdir(parents=True)
    for number in range(COUNT - 2):
        image = photograph(200, 215)
        image[number % 200, :, 2] = number % 255
        if number == 1:
            write(dicom_photograph([image, image[:, ::-1]], patient=""), place / "in" / "left" / "0001.dcm")
            continue
        Image.fromarray(image).save(place / "in" / ("left" if number % 2 else "") / f"{number:04}.png")
    (place / "in" / "broken.png").write_bytes(b"no picture")
    files = [f"{number:04}.{'dcm' if number == 1 else 'png'}" for number in range(12)]
    visits = [f"{file},{n // 4},{'LR'[n // 2 % 2]},2020-01-{n + 1:02}\n" for n, file in enumerate(files)]
    (place / "visits.csv").write_text("file,patient,eye,date\nnowhere.png,9\n" + "".join(visits))
    write_checkpoint(place / "a.ckpt", network="tests.support.slow_painter.SlowPainter")
    assert predict.main(arguments(place, place / "local")) == 1
    return place


def arguments(place, output, *more):
    return [
        "--trust",
        "tests",
        "--checkpoint",
        str(place / "a.ckpt"),
        str(place / "in"),
        "--output",
        str(output),
        "--dicom",
        "true",
        "--table",
        str(place / "visits.csv"),
        *more,
    ]


def content(folder):
    """Files of a folder; of a DICOM object the UID, which follows from what it holds: it also says when it was made."""
    return {path.relative_to(folder): kept(path) for path in folder.rglob("*") if path.is_file()}


def kept(path):
    return str(dcmread(path).SOPInstanceUID) if path.suffix == ".dcm" else path.read_bytes()


def start(place, output, *options):
    command = [sys.executable, "-m", "fundusseg.predict", *arguments(place, output, *options)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="kills by Linux's signals")
def test_an_actor_a_node_and_the_driver_are_killed(place, nodes, tmp_path, capsys):
    notes, output = tmp_path / "notes", tmp_path / "out"
    notes.touch()
    cluster = nodes(*[{NOTES: str(notes)}] * NODES)

    def seen():
        return [int(line) for line in notes.read_text().split()]

    options = ("--cluster", cluster.address, f"--cluster_jobs={2 * NODES}")
    process = start(place, output, *options)
    wait(lambda: len(seen()) > COUNT // 8 or process.poll() is not None)
    assert process.poll() is None, process.communicate()[0]
    os.kill(seen()[-1], signal.SIGKILL)
    lost = cluster.nodes[1]
    on_it = lost.all_processes["raylet"][0].process.pid
    wait(lambda: len(seen()) > COUNT // 3 and seen()[-1] in below(on_it))
    cluster.kill(lost)
    blocks = output / "journal" / "blocks"
    wait(lambda: len(seen()) > COUNT // 2 and [*blocks.glob("*.parquet")])
    process.kill()
    process.wait()
    done = sum(len(pq.read_table(path)) for path in blocks.glob("*.parquet"))
    assert 0 < done < COUNT and not (output / "measures.csv").exists()
    capsys.readouterr()
    assert predict.main(arguments(place, output, *options)) == 1
    assert f"{COUNT - 1} of {COUNT} photographs done" in capsys.readouterr().out
    made = content(output)
    assert made == content(place / "local")
    assert {Path(f"left/0001_frame{frame}_{kind}.dcm") for frame in (1, 2) for kind in ("seg", "sr")} <= set(made)
    rows = [json.loads(line)["name"] for line in (output / "journal" / "rows.jsonl").read_text().splitlines()]
    assert len(rows) == len(set(rows)) == COUNT
    print(f"{len(seen())} executions of {COUNT - 1} photographs, {done} done when the driver was killed")


@pytest.mark.slow
def test_addresses_and_packed_blocks(place, tmp_path):
    """On a Ray of its own: the same tables from file:// as from a folder, and one file in place of many."""
    pytest.importorskip("ray", reason="the extra `cluster` is not installed")
    few = tmp_path / "few"
    few.mkdir()
    for name in ("0000.png", "0002.png"):
        (few / name).write_bytes((place / "in" / name).read_bytes())
    (few / "notes.txt").touch()
    (tmp_path / "table.csv").write_text("file,patient,eye,date\n0000.png,1,R,2020-05-31\n0002.png,1,R,2022-05-31\n")
    base = ["--trust", "tests", "--checkpoint", str(place / "a.ckpt")]
    far, table = f"file://{few}", ("--table", str(tmp_path / "table.csv"))

    def run(named, output, *options):
        assert predict.main([*base, named, "--output", output, *options]) == 0

    run(str(few), str(tmp_path / "alone"), *table)
    wanted = content(tmp_path / "alone")
    output = f"file://{tmp_path / 'out'}"
    run(far, output, "--cluster=local", *table)
    made = content(tmp_path / "out")
    for name in ("0000_labels.png", "0002_contours.json", "0002_overlay.jpg", "journal/thumbnails/0000.jpg"):
        assert made[Path(name)] == wanted[Path(name)], name
    for name in map(Path, ("measures.csv", *WRITTEN)):
        assert made[name].decode().replace(far, str(few)) == wanted[name].decode(), name
    assert b"2022-05-31" in made[Path("visits.csv")] and b"data:image/jpeg" in made[Path("patients.html")]
    assert b"1 .txt" in made[Path("report.html")]
    run(far, output, "--cluster=local", *table)
    assert content(tmp_path / "out") == made, "done: only gathered again"
    run(far, output, "--cluster=local")
    assert not {str(path) for path in content(tmp_path / "out")} & set(WRITTEN), "whose, nobody says any more"
    run(str(few), str(tmp_path / "packed"), "--cluster=local", "--packed=true", *table)
    packed = content(tmp_path / "packed")
    assert {name: packed[Path(name)] for name in WRITTEN} == {name: wanted[Path(name)] for name in WRITTEN}
    (block,) = (tmp_path / "packed" / "blocks").iterdir()
    rows = pq.read_table(block).to_pylist()
    files = {file["path"]: file["content"] for row in rows for file in row["files"]}
    assert {Path(name): data for name, data in files.items()} == {
        name: data for name, data in wanted.items() if Path(name) in map(Path, files)
    }
    assert [row["name"] for row in rows] == [b"0000", b"0002"] and len(files) == 8


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--packed=true"], "--packed without --cluster"),
        (["--cluster_gpus=1"], "--cluster_gpus without --cluster"),
        (["--cluster=local", "--cluster_jobs=0"], "--cluster_jobs 0; expected more than 0 cores"),
        (["--cluster=local", "--cluster_cpus=0"], "--cluster_cpus 0.0"),
    ],
)
def test_settings_that_do_not_fit_are_one_sentence(place, tmp_path, more, words):
    with pytest.raises(ConfigurationError, match=words):
        predict.main(arguments(place, tmp_path / "out", *more))
    assert not (tmp_path / "out").exists()


def test_an_address_is_read_on_a_cluster_alone(place, tmp_path):
    with pytest.raises(ConfigurationError, match="s3://bucket without --cluster; expected both"):
        predict.main(["--trust", "tests", "--checkpoint", str(place / "a.ckpt"), "s3://bucket"])
