"""Photographs over HTTP give what `predict` writes, byte for byte."""

import csv
import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from fundusseg import predict
from fundusseg.inference.output_files import measures_csv
from tests.support.located import CUP, DISC, photograph
from tests.support.service import PHOTOGRAPH, service

pytestmark = pytest.mark.slow


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def files_of_predict(folder, checkpoint, output):
    predict.main(["--checkpoint", checkpoint, str(folder), "--output", str(output), "--trust", "tests"])
    return list(csv.DictReader(io.StringIO((output / "measures.csv").read_text())))


def as_cells(answer):
    """A photograph's numbers as `predict` writes them."""
    row = {"file": answer["file"], "error": "", **answer["measures"]}
    return next(csv.DictReader(io.StringIO(measures_csv([row]).decode())))


def assert_same(running, folder, checkpoint, output):
    rows = files_of_predict(folder, checkpoint, output)
    for row in rows:
        path = folder / row["file"].rpartition("/")[2]
        name, content = path.name, path.read_bytes()
        answer = running.post("/v1/predictions", [(name, content)])
        if row["error"]:
            assert answer.status == 422
            continue
        (found,) = answer.json["photographs"]
        cells = as_cells(found) | {"file": row["file"]}
        assert set(cells) <= set(row)
        # A column that other rows have is empty in this one's.
        assert {key: cells.get(key, "") for key in row} == row
        contours = json.loads((output / f"{path.stem}_contours.json").read_text())
        assert found["contours"] == contours["contours"]
        assert (found["width"], found["height"]) == (contours["width"], contours["height"])
        for kind, file in (("image/png", "labels.png"), ("image/jpeg", "overlay.jpg")):
            picture = running.post("/v1/predictions", [(name, content)], Accept=kind)
            assert picture.headers["content-type"] == kind
            assert picture.body == (output / f"{path.stem}_{file}").read_bytes()
    return len(rows)


def test_numbers_and_files_are_those_of_predict(running, bundle, tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    plain = photograph()
    Image.fromarray(plain).save(folder / "P1_OD.png")
    Image.fromarray(plain[:, ::-1]).save(folder / "P1_OS.tif")
    Image.fromarray(plain).save(folder / "P2.jpg", quality=95)
    Image.fromarray(np.zeros_like(plain)).save(folder / "dark.png")
    Image.fromarray(plain.astype(np.uint16)[..., 0] * 200).save(folder / "grey of 16 bits.png")
    (folder / "broken.png").write_bytes(PHOTOGRAPH[:500])
    assert assert_same(running, folder, bundle, tmp_path / "out") == 6


@pytest.mark.realdata
@pytest.mark.skipif(
    "FUNDUSSEG_SERVICE_CHECKPOINT" not in os.environ, reason="a long run, by hand, of a real checkpoint"
)
def test_fifty_real_photographs_are_those_of_predict(realdata, tmp_path):
    checkpoint = os.environ["FUNDUSSEG_SERVICE_CHECKPOINT"]
    folder = tmp_path / "photographs"
    folder.mkdir()
    kinds = (
        "Drishti-GS1_files/**/Images/*",
        "IDRiD/**/*.jpg",
        "DRIONS-DB/images/*",
        "ORIGA-crops/images/*",
        "difficult/*/*",
    )
    found = [(kind, path) for kind in kinds for path in sorted(realdata.glob(kind))[:12]]
    for kind, path in found[:50]:
        (folder / f"{kind[:4]}_{path.name}").write_bytes(path.read_bytes())
    with service(checkpoint) as running:
        assert assert_same(running, folder, checkpoint, tmp_path / "out") == 50


def test_every_answer_says_who_made_it(running, bundle):
    made_by = running.get("/v1/models").json["bundle"]
    answer = running.post("/v1/predictions", PHOTOGRAPH)
    assert answer.json["bundle"] == {"digest": made_by["digest"], "version": made_by["fundusseg"]}
    for one in (answer, running.get("/livez"), running.post("/v1/predictions", b"nothing")):
        assert one.headers["x-fundusseg-bundle"] == made_by["digest"]
        assert "default-src 'none'" in one.headers["content-security-policy"]


def test_options_have_their_effect(running):
    def ask(query):
        return running.post(f"/v1/predictions?{query}", [("P1_OD.png", PHOTOGRAPH)]).json["photographs"][0]

    usual = ask("")
    assert usual["measures"]["vertical_cdr"] == pytest.approx(CUP.half_height / DISC.half_height, abs=0.02)
    assert usual["measures"]["eye"] == "OD"
    assert ask("eye=OS")["measures"]["eye"] == "OS"
    assert ask("millimetres_per_pixel=0.01")["measures"]["disc_area_mm2"] == pytest.approx(
        usual["measures"]["disc_area"] * 1e-4
    )
    assert usual["measures"]["spread"] is None
    assert ask("views=4")["measures"]["spread"] is not None
    assert ask("smoothing=ellipse")["contours"] != usual["contours"]


def test_several_files_come_back_in_order_and_one_bad_one_stops_none(running):
    files = [("a.png", PHOTOGRAPH), ("b.png", b"no picture"), ("c_OS.png", PHOTOGRAPH)]
    found = running.post("/v1/predictions", files).json["photographs"]
    assert [one["file"] for one in found] == ["a.png", "b.png", "c_OS.png"]
    assert [bool(one["error"]) for one in found] == [False, True, False]
    assert found[1]["error"]["status"] == 422
    assert "cannot be decoded" in found[1]["error"]["detail"]
    assert found[2]["measures"]["eye"] == "OS"


def test_a_picture_of_any_format_for_browsers(running):
    stream = io.BytesIO()
    Image.fromarray(photograph()).save(stream, "TIFF")
    answer = running.post("/v1/pictures", stream.getvalue())
    shown = np.asarray(Image.open(io.BytesIO(answer.body)))
    assert answer.headers["content-type"] == "image/jpeg"
    assert shown.shape == photograph().shape
    assert abs(shown.astype(int) - photograph()).mean() < 2


def test_the_documentation_opens_offline(running):
    page = running.get("/docs").body.decode()
    assert "/v1/predictions" in page
    assert "http" not in page.replace("http://127.0.0.1:8000", "").replace("HTTP", "")
    assert running.get("/page/docs.css").headers["content-type"].startswith("text/css")
