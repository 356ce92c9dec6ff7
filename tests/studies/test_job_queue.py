"""Each job is one worker's at a time, done once, and lost by the dead."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from fundusseg.errors import ConfigurationError
from fundusseg.studies.job_queue import ClaimedJob, Job, Queue


def queue(folder, *jobs, lease=60.0):
    return Queue.create(folder / "queue", jobs, lease)


def age(claim, seconds):
    past = time.time() - seconds
    os.utime(claim.path, (past, past))


def test_a_beat_that_the_disk_loses_is_no_end(tmp_path):
    (tmp_path / "file").write_text("")
    assert ClaimedJob(Job("a", ()), tmp_path / "file" / "a.json").beat(), "an OSError that is not the file's absence"
    assert not ClaimedJob(Job("a", ()), tmp_path / "a.json").beat()


def test_a_queue_is_done_in_order_of_names_and_needs(tmp_path):
    jobs = queue(tmp_path, Job("b", ("second",)), Job("a", ("last",), ("c",)), Job("c", ("first", "x")))
    assert jobs.states() == {"a": "todo", "b": "todo", "c": "todo"}
    one, two = jobs.claim("w1"), jobs.claim("w2")
    assert (one.job, two.job.name) == (Job("b", ("second",)), "c")
    assert jobs.claim("w3") is None and jobs.open(), "a waits for c"
    assert two.move("done") and jobs.claim("w3").job.command == ("last",)
    assert one.move("failed")
    assert jobs.states() == {"a": "running", "b": "failed", "c": "done"}


def test_nobody_takes_what_another_has(tmp_path):
    names = {f"{number:03}" for number in range(40)}
    queue(tmp_path, *(Job(name, ("x",)) for name in names))

    def work(worker):
        own, taken = Queue(tmp_path / "queue"), []
        while own.open():
            if claim := own.claim(f"w{worker}"):
                taken.append(claim.job.name)
                assert claim.move("done")
        return taken

    with ThreadPoolExecutor(8) as pool:
        taken = [name for some in pool.map(work, range(8)) for name in some]
    assert sorted(taken) == sorted(names)


def test_the_job_of_a_dead_worker_is_taken_up_and_its_end_does_not_count(tmp_path):
    jobs = queue(tmp_path, Job("a", ("x",)), lease=5.0)
    dead = jobs.claim("dead")
    assert jobs.claim("other") is None, "it may live"
    age(dead, 4)
    assert dead.beat() and jobs.claim("other") is None
    age(dead, 6)
    other = jobs.claim("other")
    assert other is not None and other.job == dead.job
    assert not dead.beat() and not dead.move("done")
    assert jobs.states() == {"a": "running"}
    assert other.beat() and other.move("done")


def test_an_old_job_is_fresh_when_it_is_begun(tmp_path):
    jobs = queue(tmp_path, Job("a", ("x",)), lease=5.0)
    os.utime(tmp_path / "queue" / "todo" / "a.json", (0, 0))
    assert jobs.claim("one") is not None and jobs.claim("two") is None


def test_what_needs_a_failed_job_is_blocked_until_it_is_tried_again(tmp_path):
    jobs = queue(tmp_path, Job("a", ("x",)), Job("b", ("x",), ("a",)), Job("c", ("x",), ("b",)))
    jobs.claim("w").move("failed")
    assert jobs.blocked() == {"b", "c"} and not jobs.open() and jobs.claim("w") is None
    assert jobs.retry() == 1
    assert jobs.open() and jobs.claim("w").job.name == "a"


def test_a_folder_is_made_once_and_belongs_to_its_jobs(tmp_path):
    first = queue(tmp_path, Job("a", ("x",)), Job("b", ("y",)))
    first.claim("w").move("done")
    again = queue(tmp_path, Job("a", ("x",)), Job("b", ("y",)))
    assert again.states() == {"a": "done", "b": "todo"}
    with pytest.raises(ConfigurationError, match="other jobs, such as c"):
        queue(tmp_path, Job("a", ("x",)), Job("b", ("y",)), Job("c", ("z",)))
    assert [path.name for path in tmp_path.iterdir()] == ["queue"]


def test_several_may_begin_at_once(tmp_path):
    jobs = [Job(f"{number:02}", ("x",)) for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: queue(tmp_path, *jobs), range(8)))
    assert all(len(one.states()) == 20 for one in made)
    assert [path.name for path in tmp_path.iterdir()] == ["queue"]


def test_several_may_try_again_at_once(tmp_path):
    jobs = queue(tmp_path, *(Job(f"{number:03}", ("x",)) for number in range(200)))
    for _ in range(200):
        jobs.claim("w").move("failed")
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda _: Queue(tmp_path / "queue").retry(), range(8)))
    assert sum(counts) == 200 and set(jobs.states().values()) == {"todo"}
