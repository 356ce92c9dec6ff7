"""A picture that was seen is known by each of its traces."""

from dataclasses import replace
from pathlib import Path

from fundusseg.data.identity import Identity, identify
from fundusseg.data.seen_patients import KnownPictures, SeenPatients
from fundusseg.data.splits import Split
from fundusseg.datasets import Phantom
from fundusseg.sample import Record

PICTURES = [Phantom(count=4, size=256)[number].image for number in range(4)]


def record(name: str) -> Record:
    return Record("x", name, Path("nowhere") / name, name, ("disc",))


def test_known_pictures_are_found_by_each_of_their_traces():
    made = [identify(record(str(n)), picture) for n, picture in enumerate(PICTURES)]
    split = Split(("x/0",), ("x/1",), ()).identified({"x/0": made[0], "x/1": made[1]})
    known = KnownPictures([(split, ("x/0",))])
    other = made[2]
    assert known.hold("x/0", other) and not known.hold("x/2", other) and not known.hold("x/2", made[1])
    for trace in ("files", "pixels", "perceptual_hash"):
        assert known.hold("y/9", replace(other, **{trace: getattr(made[0], trace)})), trace


def test_nothing_known_of_two_pictures_does_not_make_them_one():
    unknown = {"a/1": ""}
    split = Split(("a/1",), (), (), files=unknown, pixels=unknown, perceptual_hashes=unknown)
    known = KnownPictures([(split, split.train)])
    assert known.hold("a/1", Identity("")) and not known.hold("a/2", Identity(""))


def test_a_split_by_image_forbids_the_picture_and_not_the_patient():
    a, b = (Record("x", name, Path("nowhere"), "same", ("disc",)) for name in ("1", "2"))
    for by, forbidden in (("patient", [True, True]), ("image", [True, False])):
        split = Split(("x/1",), (), (), patients={"x/1": "x/same"}, by=by)
        seen = SeenPatients([split])
        assert [seen.forbids(one, Identity("")) for one in (a, b)] == forbidden
        assert [seen.mark(one, Identity("")) for one in (a, b)] == ["patient", "patient"]


def test_what_is_known_of_a_picture_falls_from_patient_to_source_to_nothing():
    split = Split(("x/1",), (), (), patients={"x/1": "x/p"})
    new, elsewhere = Record("x", "9", Path("nowhere"), "q", ()), Record("y", "1", Path("nowhere"), "p", ())
    assert [SeenPatients([split]).mark(one, Identity("")) for one in (new, elsewhere)] == ["source", "no"]
    unsaid = SeenPatients([split, None])
    assert not unsaid.complete and unsaid.mark(elsewhere, Identity("")) == "unknown"


def test_a_patient_is_met_again_by_another_picture():
    """A shared checkpoint names pictures by digests: who they are of, the data at hand say."""
    made = identify(record("0"), PICTURES[0])
    split = Split(("x/anonymous",), (), (), pixels={"x/anonymous": made.pixels})
    seen = SeenPatients([split])
    first, second = (Record("x", name, Path("nowhere"), "p", ()) for name in ("a", "b"))
    identities = {"x/a": made, "x/b": identify(record("1"), PICTURES[1])}
    assert seen.mark(second, identities["x/b"]) == "source"
    seen.meet([first, second], identities)
    assert seen.mark(second, identities["x/b"]) == "patient" and seen.forbids(second, identities["x/b"])
