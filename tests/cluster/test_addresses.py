"""Photographs and results in an object store, here fsspec's own in memory; what its library raises is one sentence."""

import io
import json

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from fundusseg import predict
from fundusseg.cluster.addresses import list_addresses, read_address
from fundusseg.cluster.result_store import ResultStore, photograph_of
from fundusseg.cluster.run_summary import Patients, summarise
from fundusseg.errors import ConfigurationError, ImageError
from fundusseg.inference.photograph_list import PhotographList
from fundusseg.inference.run_journal import JournalEntry
from fundusseg.measures.repeatability import Repeatability
from tests.support.painter import photograph, write_checkpoint

RUN = {"checkpoint": "sha256 1"}


@pytest.fixture
def store():
    files = fsspec.filesystem("memory")
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


def png():
    stream = io.BytesIO()
    Image.fromarray(photograph(120, 130)).save(stream, "PNG")
    return stream.getvalue()


def entry(name, error="", size=1):
    return JournalEntry(name, f"memory://in/{name}.png", size, 2, "", {"file": name, "error": error, "x": 0.1 + 0.2})


def test_photographs_below_an_address(store):
    for name in ("in/b/1.png", "in/a.jpg", "in/notes.txt", "in/.trash/c.png"):
        store.pipe_file(f"/{name}", png())
    listed, now = list_addresses(["memory://in"])
    assert [p.name for p in listed.photographs] == ["a", "b/1"] and {*listed.passed_over.values()} == {".txt", "hidden"}
    assert now["b/1"].path == "memory:///in/b/1.png" and now["b/1"].size == len(png()) and now["b/1"].changed > 0
    assert list_addresses(["memory://in"])[1] == now, "the same as long as the object is"
    capture = read_address(now["b/1"].path)
    assert (capture.image == photograph(120, 130)).all() and capture.light == 1
    store.pipe_file("/in/bad.png", b"x")
    with pytest.raises(ImageError, match=r"cannot be decoded.*memory:///in/bad\.png"):
        read_address("memory:///in/bad.png")
    with pytest.raises(ImageError, match="no photograph at memory://none"):
        list_addresses(["memory://none"])
    store.pipe_file("/in/a.png", png())
    with pytest.raises(ImageError, match="two photographs of one name"):
        list_addresses(["memory://in"])


def test_rows_come_back_as_they_were_and_are_one_makers(store):
    results = ResultStore("memory://out")
    results.claim(RUN, False)
    results.put_block([entry("a"), entry("\udce9/b", "torn")])
    results.put_block([entry("a", size=7)])
    results.put_block([entry("a"), entry("\udce9/b", "torn")])  # executed twice
    found = list(ResultStore("memory://out").entries())
    assert sorted((e.name, e.size) for e in found) == [("a", 1), ("a", 7), ("\udce9/b", 1)] and entry("a") in found
    ResultStore("memory://out").claim(RUN, False)
    with pytest.raises(ConfigurationError, match=r"another checkpoint: .*--overwrite"):
        ResultStore("memory://out").claim({"checkpoint": "sha256 2"}, False)
    ResultStore("memory://out").claim({"checkpoint": "sha256 2"}, True)
    assert list(ResultStore("memory://out").entries()) == []
    assert json.loads(store.cat_file("/out/journal/run.json")) == {"checkpoint": "sha256 2"}


def test_the_table_stands_for_a_run_that_came_to_its_end_and_is_put_last(store, tmp_path, monkeypatch):
    results, put = ResultStore("memory://out"), []
    monkeypatch.setattr(results, "put", lambda name, content: put.append(name))
    nobody = Patients().identify([], [], {})
    code = summarise(results, tmp_path, [entry("a", "torn")], RUN, PhotographList([], {}), nobody, Repeatability())
    assert code == 1 and put[-1] == "measures.csv" and "report.html" in put


def test_a_files_photograph():
    files = ("a_labels.png", "a/b_1_contours.json", "a_labels_overlay.jpg", "journal/thumbnails/a_labels.jpg")
    assert [photograph_of(path) for path in files] == ["a", "a/b_1", "a_labels", "a_labels"]


class Locked(MemoryFileSystem):
    """An object store whose library finds no credentials, as boto3 says it."""

    protocol = "locked"

    def find(self, path, **options):
        raise PermissionError("Unable to locate credentials")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (
            "locked://bucket/in",
            "locked://bucket/in .PermissionError: Unable to locate credentials.*credentials on every",
        ),
        ("nosuch://bucket/in", "nosuch://bucket/in .ValueError: Protocol not known: nosuch.*its library"),
    ],
)
def test_an_object_store_that_cannot_be_used_is_one_sentence(tmp_path, address, words):
    fsspec.register_implementation("locked", Locked, clobber=True)
    checkpoint = write_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(ConfigurationError, match=words):
        predict.main(
            ["--trust=tests", f"--checkpoint={checkpoint}", address, "--cluster=local", "--output=memory://out"]
        )
    with pytest.raises(ConfigurationError, match="both addresses and paths"):
        predict.main(["--trust=tests", f"--checkpoint={checkpoint}", address, str(tmp_path), "--cluster=local"])
