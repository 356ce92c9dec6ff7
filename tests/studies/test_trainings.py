"""Who is trained on what, and the commands that it takes."""

from fundusseg.data.splits import Split
from fundusseg.studies.trainings import LOCALISER, Training, jobs, restrict_to_sources, trainings

SOURCES = ["one", "two", "three"]


def test_each_all_and_all_but_one():
    found = trainings(SOURCES, ["each", "all", "all_but_one"], [0], [1])
    assert [(training.name, training.sources) for training in found] == [
        ("all", ("one", "two", "three")),
        ("all but one", ("two", "three")),
        ("all but two", ("one", "three")),
        ("all but three", ("one", "two")),
        ("one", ("one",)),
        ("two", ("two",)),
        ("three", ("three",)),
    ]
    assert len(trainings(SOURCES, ["each"], [0, 2], [1, 2, 3])) == 3 * 2 * 3
    assert len({training.key for training in trainings(SOURCES, ["each", "all"], [0, 1], [1, 2])}) == 16


def test_the_same_sources_are_trained_on_once():
    found = trainings(["one", "two"], ["each", "all", "all_but_one"], [0], [1])
    assert [training.name for training in found] == ["all", "two", "one"], "all but one is two"
    assert [t.name for t in trainings(["one"], ["each", "all", "all_but_one"], [0], [1])] == ["one"]


def test_a_key_is_a_file_name():
    assert Training("all but a/b c", ("x",), 2, 7).key == "all_but_a%2Fb_c-fold2-seed7"


def test_a_part_of_a_split_moves_nobody():
    keys = {"train": ("a/1", "b/1"), "val": ("a/2", "b/2"), "test": ("a/3", "b/3")}
    whole = Split(
        **keys,
        dropped=("a/4", "b/4"),
        patients={"a/1": "a/p", "b/1": "b/p"},
        files={"a/1": "x", "b/3": "y"},
        by="image",
        pixels={"a/2": "u", "b/2": "v"},
        perceptual_hashes={"a/2": "1", "b/2": "2"},
    )
    part = restrict_to_sources(whole, ["b"])
    digests = ({"b/1": "b/p"}, {"b/3": "y"}, "image", {"b/2": "v"}, {"b/2": "2"})
    assert part == Split(("b/1",), ("b/2",), ("b/3",), ("b/4",), *digests)


def test_jobs_train_the_localiser_first_and_score_with_it():
    networks = trainings(["one", "two"], ["each"], [0, 1], [1])
    finders = [Training(LOCALISER, ("one",), fold, 1) for fold in (0, 1)]
    planned = jobs(networks, finders)
    names = [job.name for job in planned]
    assert names == sorted(names) and len(set(names)) == 2 + 4 + 4
    assert [name.split("-", 1)[1] for name in names[:2]] == [f"fit-localiser-fold{fold}-seed1" for fold in (0, 1)]
    scored = {job.name.split("-", 1)[1]: job for job in planned if "evaluate" in job.name}
    job = scored["evaluate-two-fold1-seed1"]
    assert {need.split("-", 1)[1] for need in job.needs} == {"fit-two-fold1-seed1", "fit-localiser-fold1-seed1"}
    given = dict(zip(job.command[1::2], job.command[2::2], strict=True))
    assert given["--localiser"] == "{output}/runs/localiser-fold1-seed1/fit/checkpoints/best.ckpt"
    assert given["--data.split"] == "{output}/splits/fold1.json", "all sources' test patients"
    fits = {job.name.split("-", 1)[1]: job for job in planned if "-fit-" in job.name}
    given = dict(zip(fits["fit-two-fold1-seed1"].command[1::2], fits["fit-two-fold1-seed1"].command[2::2], strict=True))
    assert given["--data.split"] == "{output}/splits/two-fold1-seed1.json"
    assert "--localiser" not in jobs(networks, [])[-1].command
