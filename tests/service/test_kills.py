"""A service that is killed while corrections are saved: none that was answered is lost, none is there twice."""

import http.client
import os
import random
import signal
import sqlite3
import threading
import time
import uuid

import pytest

from fundusseg.imaging.image_files import encode_png
from tests.support.located import photograph
from tests.support.service import service

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("FUNDUSSEG_KILLS", "2"))
"""200 by hand."""

GRADERS = 4


def correction(identity, number):
    """A cup of its own height, so that each can be told from the others."""
    bottom = 200 + number % 60 + 1
    cup = [[280, 200], [320, 200], [320, bottom], [280, bottom]]
    disc = [[250, 160], [350, 160], [350, 280], [250, 280]]
    return {
        "id": str(uuid.uuid4()),
        "photograph": identity,
        "grader": f"grader {number % GRADERS}",
        "decision": "correct",
        "contours": {"disc": disc, "cup": cup},
        "comment": str(number),
    }


def test_killed_while_corrections_are_saved(bundle, tmp_path):
    chance = random.Random(0)
    with service(bundle, "--store", str(tmp_path)) as running:
        item = running.post("/v1/store/photographs?patient=P1&grader=a", [("a.png", encode_png(photograph()))]).json
        assert running.stop() == 0
    sent, answered, waiting = {}, set(), []
    lock = threading.Lock()

    def save(running, stop):
        while not stop.is_set():
            with lock:
                # What was on its way when the service died is sent again, as the page does.
                posted = waiting.pop() if waiting else correction(item["id"], len(sent))
                sent[posted["id"]] = posted
            try:
                status = running.post("/v1/store/gradings", posted).status
                assert status in (200, 201)
                with lock:
                    answered.add(posted["id"])
            except (OSError, http.client.HTTPException):
                with lock:
                    waiting.append(posted)
                return

    for _ in range(KILLS):
        with service(bundle, "--store", str(tmp_path), wait=False) as running:
            before = len(answered)
            running.wait_until_alive()
            workers, stop = running.workers, threading.Event()
            threads = [threading.Thread(target=save, args=(running, stop)) for _ in range(GRADERS)]
            for thread in threads:
                thread.start()
            while len(answered) == before:
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.3))
            running.process.send_signal(signal.SIGKILL)
            stop.set()
            for thread in threads:
                thread.join(60)
                assert not thread.is_alive()
            for worker in workers:  # it would end by itself, once it has loaded
                os.kill(worker, signal.SIGKILL)
    connection = sqlite3.connect(tmp_path / "fundusseg.sqlite")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    kept = [row for (row,) in connection.execute("SELECT id FROM gradings")]
    connection.close()
    assert len(kept) == len(set(kept))
    assert answered <= set(kept) <= set(sent)
    print(f"{KILLS} kills, {len(answered)} answered, {len(kept)} kept")
    with service(bundle, "--store", str(tmp_path)) as running:
        for posted in sent.values():
            assert running.post("/v1/store/gradings", posted).status == (200 if posted["id"] in set(kept) else 201)
        assert running.get("/v1/store").json["gradings"] == len(sent)
        for grader in range(GRADERS):
            found = running.get(f"/v1/store/photographs/{item['id']}?grader=grader%20{grader}").json
            for grading in found["history"]:
                assert grading["after"] == sent[grading["id"]]["contours"]
                assert grading["comment"] == sent[grading["id"]]["comment"]
