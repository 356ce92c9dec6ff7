"""What is done stays done; what fails blocks what needs it, until another run tries it again."""

import pytest
from filelock import FileLock

from fundusseg.studies.job_list import Job, JobList, done_path, is_held, lock_path


@pytest.fixture
def done(tmp_path):
    def write(name):
        done_path(tmp_path, name).parent.mkdir(exist_ok=True)
        done_path(tmp_path, name).touch()

    return write


def names(jobs):
    return [job.name for job in jobs]


def test_jobs_are_ready_in_order_of_names_and_needs(tmp_path, done):
    jobs = JobList(tmp_path, [Job("b", ("x",)), Job("a", ("x",), ("c",)), Job("c", ("x",))])
    assert jobs.states() == {"a": "todo", "b": "todo", "c": "todo"}
    assert names(jobs.ready(())) == ["b", "c"] and names(jobs.ready({"b"})) == ["c"]
    assert names(jobs.left()) == ["a", "b", "c"], "a waits for c"
    done("c")
    assert names(jobs.ready(())) == ["a", "b"] and jobs.states()["c"] == "done"
    assert JobList(tmp_path, [Job("c", ("x",))]).left() == []


def test_what_needs_a_failed_job_is_blocked_until_another_run_tries_it_again(tmp_path, done):
    planned = [Job("a", ("x",)), Job("b", ("x",), ("a",)), Job("c", ("x",), ("b",)), Job("d", ("x",))]
    jobs = JobList(tmp_path, planned)
    jobs.failed.add("a")
    assert jobs.blocked() == {"b", "c"} and names(jobs.left()) == ["d"] and jobs.states()["a"] == "failed"
    assert names(JobList(tmp_path, planned).ready(())) == ["a", "d"]
    done("a")
    assert jobs.states()["a"] == "done" and jobs.blocked() == set(), "another machine has done it meanwhile"


def test_what_another_process_does_is_left_to_it(tmp_path):
    jobs = JobList(tmp_path, [Job("a", ("x",)), Job("b", ("x",))])
    assert not is_held(lock_path(tmp_path, "a"))
    with FileLock(lock_path(tmp_path, "a")):
        assert is_held(lock_path(tmp_path, "a"))
        assert names(jobs.ready(())) == ["b"] and names(jobs.left()) == ["a", "b"]
    assert names(jobs.ready(())) == ["a", "b"]
