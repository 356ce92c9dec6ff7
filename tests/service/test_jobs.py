"""Many photographs as one job: the files of `predict`, progress on the way, and nothing lost at the end."""

import csv
import io
import json
import signal
import time
import zipfile

import pytest
from PIL import Image

from fundusseg import predict
from tests.support.located import photograph
from tests.support.service import PHOTOGRAPH, service, write_bundle

pytestmark = pytest.mark.slow

FILES = [("P1_OD.png", PHOTOGRAPH), ("P1_OS.png", PHOTOGRAPH), ("broken.png", PHOTOGRAPH[:400]), ("P2.png", PHOTOGRAPH)]


def start(running, files, query=""):
    answer = running.post(f"/v1/jobs{query}", files)
    assert answer.status == 202, answer.body
    return answer.json


def events_of(running, job):
    """All events until the job's end."""
    told = running.get(job["events"])
    assert told.headers["content-type"].startswith("text/event-stream")
    parts = [part.split("\n") for part in told.body.decode().split("\n\n") if part and not part.startswith(":")]
    return [(kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for kind, data in parts]


def test_a_job_gives_the_files_of_predict(running, bundle, tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name, content in FILES:
        (folder / name).write_bytes(content)
    output = tmp_path / "out"
    predict.main(["--checkpoint", bundle, str(folder), "--output", str(output), "--trust", "tests", "--charts", "true"])
    job = start(running, FILES, "?charts=true")
    events = events_of(running, job)
    assert events[-1][0] == "done"
    assert (events[-1][1]["done"], events[-1][1]["failed"], events[-1][1]["total"]) == (3, 1, 4)
    assert [kind for kind, _ in events[:-1]] == ["progress"] * (len(events) - 1)
    archive = zipfile.ZipFile(io.BytesIO(running.get(job["result"]).body))
    files = {name for name in archive.namelist() if name != "measures.csv"}
    of_all = {"measures.csv", *(f"measures_{name}" for name in ("dictionary.csv", "dictionary.json", "redcap.csv"))}
    assert files == {path.name for path in output.iterdir() if path.is_file()} - of_all - {"report.html"}
    for name in files:
        assert archive.read(name) == (output / name).read_bytes(), name
    rows = list(csv.DictReader(io.StringIO(archive.read("measures.csv").decode())))
    expected = list(csv.DictReader(io.StringIO((output / "measures.csv").read_text())))
    by_name = {row["file"].rpartition("/")[2]: row for row in expected}
    assert [row["file"] for row in rows] == [name for name, _ in FILES]
    for row in rows:
        other = by_name[row["file"]]
        assert bool(row["error"]) == bool(other["error"])
        if not row["error"]:
            assert {**row, "file": ""} == {key: "" if key == "file" else other.get(key, "") for key in row}
    assert running.ask("DELETE", f"/v1/jobs/{job['id']}").status == 204
    assert running.get(job["result"]).status == 404


def test_a_job_can_be_cancelled_and_costs_no_more(tmp_path):
    with service(write_bundle(tmp_path, 0.5)) as running:
        job = start(running, FILES * 10)
        assert running.get(job["result"]).status == 409
        assert running.get(f"/v1/jobs/{job['id']}").json["state"] == "running"
        assert running.ask("DELETE", f"/v1/jobs/{job['id']}").status == 204
        assert running.get(f"/v1/jobs/{job['id']}").status == 404
        done = running.figure("fundusseg_photograph_seconds_count")
        time.sleep(2)
        assert running.figure("fundusseg_photograph_seconds_count") <= done + 1


def test_jobs_share_a_bounded_memory(tmp_path):
    stream = io.BytesIO()
    Image.fromarray(photograph()).save(stream, "TIFF")
    large = [("a.tif", stream.getvalue())]  # 1.2 MB
    with service(write_bundle(tmp_path, 3.0), "--job_megabytes", "3") as running:
        jobs = [start(running, large) for _ in range(2)]
        full = running.post("/v1/jobs", large)
        assert (full.status, full.headers["retry-after"]) == (503, "2")
        assert running.post("/v1/jobs", large * 3).status == 413
        for job in jobs:
            running.ask("DELETE", f"/v1/jobs/{job['id']}")
        start(running, large)


def test_sigterm_waits_until_a_job_is_done_and_fetched(tmp_path):
    with service(write_bundle(tmp_path, 0.2)) as running:
        job = start(running, FILES * 2)
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        assert running.post("/v1/jobs", FILES).status == 503
        assert events_of(running, job)[-1][0] == "done"
        assert zipfile.ZipFile(io.BytesIO(running.get(job["result"]).body)).testzip() is None
        assert running.process.wait(20) == 0
