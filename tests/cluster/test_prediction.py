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
from tests.cluster.conftest import ROOT, wait
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
        *more,
    ]


def content(folder):
    """Files of a folder; of a DICOM object the UID, which follows from what it holds: it also says when it was made."""
    return {path.relative_to(folder): kept(path) for path in folder.rglob("*") if path.is_file()}


def kept(path):
    return str(dcmread(path).SOPInstanceUID) if path.suffix == ".dcm" else path.read_bytes()


def start(place, output, address):
    options = ("--cluster", address, f"--cluster_cpus={NODES // 2}")  # as many actors on more nodes
    command = [sys.executable, "-m", "fundusseg.predict", *arguments(place, output, *options)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="kills by Linux's signals")
def test_an_actor_a_node_and_the_driver_are_killed(place, nodes, tmp_path):
    notes, output = tmp_path / "notes", tmp_path / "out"
    notes.touch()
    cluster = nodes(*[{NOTES: str(notes)}] * NODES)

    def seen():
        return [int(line) for line in notes.read_text().split()]

    process = start(place, output, cluster.address)
    wait(lambda: len(seen()) > COUNT // 8 or process.poll() is not None)
    assert process.poll() is None, process.communicate()[0]
    os.kill(seen()[-1], signal.SIGKILL)
    wait(lambda: len(seen()) > COUNT // 3)
    cluster.kill(cluster.nodes[1])
    blocks = output / "journal" / "blocks"
    wait(lambda: len(seen()) > COUNT // 2 and [*blocks.glob("*.parquet")])
    process.kill()
    process.wait()
    done = sum(len(pq.read_table(path)) for path in blocks.glob("*.parquet"))
    assert 0 < done < COUNT and not (output / "measures.csv").exists()
    again = start(place, output, cluster.address)
    said = again.communicate()[0]
    assert again.returncode == 1 and f"{COUNT - 1} of {COUNT} photographs done" in said, said
    made = content(output)
    assert made == content(place / "local")
    assert {Path(f"left/0001_frame{frame}_{kind}.dcm") for frame in (1, 2) for kind in ("seg", "sr")} <= set(made)
    rows = [json.loads(line)["name"] for line in (output / "journal" / "rows.jsonl").read_text().splitlines()]
    assert len(rows) == len(set(rows)) == COUNT
    print(f"{len(seen())} executions of {COUNT - 1} photographs, {done} done when the driver was killed")


@pytest.mark.slow
def test_addresses_and_packed_blocks(place, tmp_path):
    """On a Ray of its own: the same table from file:// as from a folder, and one file in place of many."""
    pytest.importorskip("ray", reason="the extra `cluster` is not installed")
    few = tmp_path / "few"
    few.mkdir()
    for name in ("0000.png", "0002.png"):
        (few / name).write_bytes((place / "in" / name).read_bytes())
    (few / "notes.txt").touch()
    base = ["--trust", "tests", "--checkpoint", str(place / "a.ckpt"), f"file://{few}"]
    output = f"file://{tmp_path / 'out'}"
    assert predict.main([*base, "--output", output, "--cluster=local"]) == 0
    made = content(tmp_path / "out")
    alone = [*base[:4], str(few), "--output", str(tmp_path / "alone")]
    assert predict.main(alone) == 0
    wanted = content(tmp_path / "alone")
    for name in ("0000_labels.png", "0002_contours.json", "0002_overlay.jpg", "journal/thumbnails/0000.jpg"):
        assert made[Path(name)] == wanted[Path(name)], name
    table = made[Path("measures.csv")].decode()
    assert table.replace(f"file://{few}", str(few)) == wanted[Path("measures.csv")].decode()
    assert b"1 .txt" in made[Path("report.html")]
    assert predict.main([*base, "--output", output, "--cluster=local"]) == 0, "done: only gathered again"
    assert content(tmp_path / "out") == made
    packed = [*base, "--output", str(tmp_path / "packed"), "--cluster=local", "--packed=true"]
    assert predict.main(packed) == 0
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
