"""Photographs and gradings that stay: who said what, on which outline, hidden from whom, and gone when deleted."""

import csv
import hashlib
import io
import sqlite3
import uuid
import zipfile

import pytest

from fundusseg.datasets import Folder
from fundusseg.errors import ConfigurationError
from fundusseg.imaging.image_files import encode_png
from fundusseg.service.store import Store
from tests.support.located import photograph
from tests.support.service import PHOTOGRAPH, service

pytestmark = pytest.mark.slow

DISC = [[260, 170], [340, 170], [340, 270], [260, 270]]
CUP = [[280, 200], [320, 200], [320, 240], [280, 240]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def kept(bundle, folder):
    with service(bundle, "--store", str(folder)) as running:
        yield running


def another(number):
    """A photograph of other bytes."""
    pixels = photograph()
    pixels[0, 0] = number
    return encode_png(pixels)


_NUMBERS = iter(range(1, 200))


def add(kept, patient="P1", grader="anna", name=None, query=""):
    content = another(next(_NUMBERS))
    answer = kept.post(
        f"/v1/store/photographs?patient={patient}&grader={grader}{query}", [(name or f"{patient}_OD.png", content)]
    )
    assert answer.status == 201, answer.body
    return answer.json


def grade(kept, photograph, grader="anna", decision="correct", status=201, path="gradings", **more):
    if decision == "correct":
        more.setdefault("contours", {"disc": DISC, "cup": CUP})
    if decision == "accept" and path == "gradings":
        found = kept.get(f"/v1/store/photographs/{photograph}?grader={grader}&masked=true").json["prediction"]
        more.setdefault("prediction", found["number"] if found else 1)
    if decision == "reject":
        more.setdefault("reason", "blurred")
    posted = {"id": str(uuid.uuid4()), "photograph": photograph, "grader": grader, "decision": decision, **more}
    answer = kept.post(f"/v1/store/{path}", posted)
    assert answer.status == status, answer.body
    return answer.json


def test_a_photograph_stays_with_its_prediction(kept):
    item = add(kept, "P2")
    assert item["patient"] == "P2"
    assert item["prediction"]["measures"]["vertical_cdr"] == pytest.approx(0.55, abs=0.05)
    assert item["prediction"]["bundle"] == kept.get("/v1/models").json["bundle"]["digest"]
    again = kept.get(f"/v1/store/photographs/{item['id']}?grader=anna").json
    assert again == item
    picture = kept.get(f"/v1/store/photographs/{item['id']}/picture")
    assert (picture.headers["content-type"], picture.headers["cache-control"]) == ("image/jpeg", "no-store")


def test_the_same_bytes_are_one_photograph_of_one_patient(kept):
    content = another(201)
    first = kept.post("/v1/store/photographs?patient=P3&grader=anna", [("a.png", content)])
    second = kept.post("/v1/store/photographs?patient=P3&grader=anna", [("b.png", content)])
    assert (first.status, second.status) == (201, 200)
    assert first.json["id"] == second.json["id"] == hashlib.sha256(content).hexdigest()
    other = kept.post("/v1/store/photographs?patient=P4&grader=anna", [("a.png", content)])
    assert (other.status, other.headers["content-type"]) == (409, "application/problem+json")


def test_without_a_patient_the_name_tells_who_it_is(kept):
    answer = kept.post("/v1/store/photographs?grader=anna", [("Q7_OS.png", another(202))])
    assert (answer.json["patient"], answer.json["eye"]) == ("Q7", "OS")


def test_a_correction_is_measured_by_the_service_and_kept_with_before_and_after(kept):
    item = add(kept)
    found = grade(kept, item["id"], comment="the cup was too large")
    assert found["measures"]["vertical_cdr"] == pytest.approx(0.4)
    assert found["after"] == {"disc": DISC, "cup": CUP}
    assert found["before"] == item["prediction"]["contours"]
    assert found["masked"] is False
    again = kept.get(f"/v1/store/photographs/{item['id']}?grader=anna").json
    assert again["grading"] == again["history"][0] == found


def test_accept_reject_and_withdraw(kept):
    item = add(kept)
    accepted = grade(kept, item["id"], decision="accept")
    assert accepted["after"] == item["prediction"]["contours"]
    assert accepted["measures"]["vertical_cdr"] == pytest.approx(
        item["prediction"]["measures"]["vertical_cdr"], abs=0.02
    )
    grade(kept, item["id"], decision="reject", reason="cataract")

    def state():
        listed = kept.get("/v1/store/worklist?grader=anna").json["photographs"]
        return next(one["state"] for one in listed if one["id"] == item["id"])

    assert state() == "rejected"
    grade(kept, item["id"], decision="withdraw")
    assert state() == "open"
    grade(kept, item["id"], decision="withdraw", status=409)
    history = kept.get(f"/v1/store/photographs/{item['id']}?grader=anna").json["history"]
    assert [one["decision"] for one in history] == ["accept", "reject", "withdraw"]


def test_what_is_sent_again_counts_once(kept):
    item = add(kept)
    before = kept.get("/v1/store").json["gradings"]
    identity = str(uuid.uuid4())
    first = grade(kept, item["id"], id=identity)
    again = grade(kept, item["id"], id=identity, status=200)
    assert first == again
    grade(kept, item["id"], id=identity, decision="reject", status=409)
    grade(kept, item["id"], id=identity, contours={"disc": CUP}, status=409)
    assert kept.get("/v1/store").json["gradings"] == before + 1


def test_the_worklist_comes_in_the_order_that_is_asked_for(kept):
    first, second, third = (add(kept, patient)["id"] for patient in ("W1", "W1", "W2"))
    grade(kept, first, decision="accept")

    def listed(order):
        answer = kept.get(f"/v1/store/worklist?grader=bob&order={order}")
        return [one["id"] for one in answer.json["photographs"] if one["id"] in (first, second, third)]

    assert listed("arrival") == [first, second, third]
    # what somebody has graded comes last, and before it the second photograph of a patient who was
    assert listed("expected_gain") == [third, second, first]
    assert kept.get("/v1/store/worklist?grader=bob&order=colour").status == 422
    # it would tell which of the predictions that are masked is uncertain
    assert kept.get("/v1/store/worklist?grader=bob&order=expected_gain&masked=true").status == 422


def test_in_masked_mode_the_outline_comes_after_the_grader_s_own(kept):
    item = add(kept, query="&masked=true")
    assert item["masked"] is True
    assert item["prediction"] is None
    listed = kept.get("/v1/store/worklist?grader=anna&masked=true").json["photographs"]
    (mine,) = (one for one in listed if one["id"] == item["id"])
    assert (mine["vertical_cdr"], mine["verdict"]) == (None, None)
    other_s = kept.get(f"/v1/store/photographs/{item['id']}?grader=bob").json["prediction"]["number"]
    refused = grade(kept, item["id"], decision="accept", prediction=other_s, status=409)
    assert "was not shown" in refused["detail"]
    found = grade(kept, item["id"])
    assert found["masked"] is True
    assert found["before"] is None
    assert found["prediction"]["contours"]["disc"]
    # From then on she knows it.
    assert grade(kept, item["id"])["masked"] is False
    # Whoever asks without a mask has been shown it, whatever the page says later.
    other = add(kept, query="&masked=true")
    kept.get(f"/v1/store/photographs/{other['id']}?grader=anna")
    assert grade(kept, other["id"])["masked"] is False


def test_a_second_grader_sees_nothing_of_the_first_and_a_third_settles(kept):
    item = add(kept, "P9")
    first = grade(kept, item["id"], "anna")
    listed = kept.get("/v1/store/worklist?grader=bob").json["photographs"]
    (his,) = (one for one in listed if one["id"] == item["id"])
    assert (his["state"], his["others"]) == ("open", 1)
    seen = kept.get(f"/v1/store/photographs/{item['id']}?grader=bob").json
    assert (seen["grading"], seen["history"]) == (None, [])
    second = grade(
        kept, item["id"], "bob", contours={"disc": DISC, "cup": [[280, 180], [320, 180], [320, 260], [280, 260]]}
    )
    differing = kept.get("/v1/store/adjudications?grader=eva&difference=0.3").json["photographs"]
    (one,) = (one for one in differing if one["id"] == item["id"])
    assert one["difference"] == pytest.approx(0.4)
    assert {grading["grader"] for grading in one["gradings"]} == {"anna", "bob"}
    assert one["adjudication"] is None
    settled = grade(kept, item["id"], "eva", "accept", path="adjudications", chosen=second["id"])
    assert (settled["decision"], settled["after"], settled["adjudication"]) == ("adjudicate", second["after"], True)
    differing = kept.get("/v1/store/adjudications?grader=eva").json["photographs"]
    (one,) = (one for one in differing if one["id"] == item["id"])
    assert one["adjudication"]["id"] == settled["id"]
    assert first["measures"]["vertical_cdr"] < second["measures"]["vertical_cdr"]
    grade(kept, item["id"], "eva", "accept", path="adjudications", status=422)
    grade(kept, item["id"], "eva", "accept", path="adjudications", chosen="0" * 36, status=404)


def test_a_repeat_is_a_round_of_its_own(kept):
    item = add(kept)
    grade(kept, item["id"])
    again = kept.get(f"/v1/store/photographs/{item['id']}?grader=anna&round=2&masked=true").json
    assert (again["grading"], again["history"], again["prediction"]) == (None, [], None)
    assert grade(kept, item["id"], round=2)["masked"] is True


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        ({"decision": "correct", "contours": {}}, 422, "without contours with a disc"),
        ({"decision": "correct", "contours": {"disc": [[1, 1], [2, 2], [1e5, 3]]}}, 422, "outline of the disc"),
        ({"decision": "reject", "reason": " "}, 422, "without a reason"),
        ({"decision": "accept", "contours": {"disc": DISC}}, 422, "contours with 'accept'"),
        ({"decision": "accept", "prediction": None}, 422, "without the number of the prediction"),
        ({"decision": "accept", "prediction": 10**6}, 409, "the prediction 1000000"),
        ({"decision": "wonder"}, 422, "decision 'wonder'"),
        ({"photograph": "0" * 64}, 404, "not in the store"),
        ({"grader": " "}, 422, "grader"),
        ({"id": "x"}, 422, "id 'x'"),
    ],
)
def test_what_a_decision_lacks_is_said(kept, more, status, said):
    item = add(kept)
    assert said in grade(kept, more.pop("photograph", item["id"]), status=status, **more)["detail"]


def test_without_a_store_there_is_none(running):
    assert running.get("/v1/store").status == 404
    assert running.get("/v1/models").json["store"] is False


def test_all_of_a_deleted_patient_is_gone_from_the_file(kept, folder):
    name = "Zzyzx-Patient"
    items = [add(kept, name, name=f"{name}_{side}.png") for side in ("OD", "OS")]
    stays = add(kept, "stays")
    for item in items:
        grade(kept, item["id"], comment=f"of {name}")
    content = next(folder.glob("*.sqlite"))
    assert name.encode() in b"".join(path.read_bytes() for path in folder.iterdir())
    deleted = kept.post("/v1/store/deletions", {"patient": name, "grader": "anna"})
    assert deleted.json == {"photographs": 2, "predictions": 2, "gradings": 2}
    everything = b"".join(path.read_bytes() for path in folder.iterdir())
    for trace in (name.encode(), items[0]["id"].encode()):
        assert trace not in everything
    assert kept.get(f"/v1/store/photographs/{items[0]['id']}?grader=anna").status == 404
    assert kept.get(f"/v1/store/photographs/{stays['id']}?grader=anna").status == 200
    assert kept.post("/v1/store/deletions", {"patient": name, "grader": "anna"}).status == 404
    assert sqlite3.connect(content).execute("SELECT photographs, gradings FROM deletions").fetchall() == [(2, 2)]


def test_rows_are_neither_changed_nor_taken_out(kept, folder):
    item = add(kept)
    grade(kept, item["id"])
    connection = sqlite3.connect(next(folder.glob("*.sqlite")))
    for table in ("photographs", "predictions", "gradings", "shown"):
        with pytest.raises(sqlite3.IntegrityError, match="not taken out"):
            connection.execute(f"DELETE FROM {table}")
        column = "patient" if table == "photographs" else "photograph"
        with pytest.raises(sqlite3.IntegrityError, match="not changed"):
            connection.execute(f"UPDATE {table} SET {column} = 'x'")


def test_a_file_that_is_no_store_is_refused(tmp_path):
    (tmp_path / "fundusseg.sqlite").write_bytes(PHOTOGRAPH)
    with pytest.raises(ConfigurationError, match=r"store that cannot be opened: .*fundusseg\.sqlite"):
        Store(tmp_path)
    other = sqlite3.connect(tmp_path / "other.sqlite")
    other.execute("PRAGMA user_version=7")
    other.close()
    (tmp_path / "other.sqlite").replace(tmp_path / "fundusseg.sqlite")
    with pytest.raises(ConfigurationError, match="a store of version 7"):
        Store(tmp_path)


@pytest.fixture(scope="module")
def graded(bundle, tmp_path_factory):
    """Six patients, two graders, a repeat, an adjudication and a rejection."""
    with service(bundle, "--store", str(tmp_path_factory.mktemp("graded"))) as running:
        for number in range(6):
            item = add(running, f"patient-{number}", name=f"=P{number}_OD.png")
            cup = [[x, y + (y > 220) * number] for x, y in CUP]
            grade(running, item["id"], "Anna B.", contours={"disc": DISC, "cup": cup})
            shifted = [[x, y - (y < 220) * 4] for x, y in cup]
            second = grade(running, item["id"], "bob", contours={"disc": DISC, "cup": shifted})
            grade(running, item["id"], "bob", round=2, contours={"disc": DISC, "cup": shifted})
            if number == 0:
                grade(running, item["id"], "eva", "accept", path="adjudications", chosen=second["id"])
        grade(running, add(running, "rejected")["id"], decision="reject", reason="no disc")
        yield running


def test_the_export_is_a_dataset_with_every_grader_an_expert(graded, tmp_path):
    answer = graded.get("/v1/store/export?format=dataset")
    assert answer.headers["content-type"] == "application/zip"
    zipfile.ZipFile(io.BytesIO(answer.body)).extractall(tmp_path)
    dataset = Folder(tmp_path, csv="photographs.csv")
    assert len(dataset) == 6
    assert {record.patient for record in dataset.records} == {f"patient-{number}" for number in range(6)}
    for number in range(6):
        sample = dataset[number]
        experts = [annotation.expert for annotation in sample.of("cup")]
        assert experts == (["adjudicated"] if sample.record.patient == "patient-0" else []) + ["anna-b", "bob"]
        masks = {annotation.expert: annotation.mask for annotation in sample.of("cup")}
        assert masks["bob"].sum() - masks["anna-b"].sum() == 4 * 40
        assert sample.record.eye == "OD"
        assert sample.image.shape == photograph().shape


def test_the_gradings_are_a_table_in_which_nothing_is_run(graded):
    rows = list(csv.DictReader(io.StringIO(graded.get("/v1/store/export?format=csv").body.decode())))
    assert len(rows) == 6 * 3 + 2
    assert rows[0]["file"] == "'=P0_OD.png"
    assert float(rows[0]["after_vertical_cdr"]) == pytest.approx(0.4)
    assert float(rows[0]["before_vertical_cdr"]) == pytest.approx(0.55, abs=0.05)
    assert [row["reason"] for row in rows if row["decision"] == "reject"] == ["no disc"]


def test_graders_agree_as_closed_forms_say(graded):
    tables = graded.get("/v1/store/agreement").json
    between = {row["measure"]: row for row in tables["between"]}
    assert {(row["first"], row["second"], row["photographs"], row["patients"]) for row in tables["between"]} == {
        ("Anna B.", "bob", 6, 6)
    }
    ratio = between["vertical_cdr"]
    # Bob's cups are all four rows higher, of discs of a hundred rows.
    assert ratio["bias"] == pytest.approx(-0.04)
    assert ratio["mae"] == pytest.approx(0.04)
    assert ratio["bias_low"] == pytest.approx(-0.04)
    assert ratio["low"] <= ratio["icc"] <= ratio["high"]
    assert between["disc_dice"]["value"] == 1
    expected = [2 * (40 + n) / (2 * (40 + n) + 4) for n in range(6)]
    assert between["cup_dice"]["value"] == pytest.approx(sum(expected) / 6)
    assert between["cup_dice"]["low"] < between["cup_dice"]["value"] < between["cup_dice"]["high"]
    within = {row["measure"]: row for row in tables["within"]}
    assert (within["vertical_cdr"]["first"], within["vertical_cdr"]["mae"]) == ("bob, round 1", 0)
    assert {(row["first"], row["second"]) for row in tables["model"]} == {("model", "Anna B."), ("model", "bob")}
    lines = graded.get("/v1/store/agreement?format=csv").body.decode().splitlines()
    assert len(lines) == 1 + sum(len(rows) for rows in tables.values())
