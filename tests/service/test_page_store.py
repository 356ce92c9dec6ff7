"""Graders at a service that keeps what they do: masked, a second one, adjudication, and training on the export."""

import re
import subprocess
import sys
import zipfile

import cv2
import numpy as np
import pytest

from fundusseg.datasets import Folder
from fundusseg.datasets._phantom_ellipse import Ellipse
from fundusseg.imaging.image_files import write_png
from tests.support.browser import SIZE, GraderPage
from tests.support.located import CUP, DISC, photograph
from tests.support.service import ROOT, service
from tests.support.tiny import TINY

pytestmark = pytest.mark.slow

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `test`)").expect

PATIENTS = 4


@pytest.fixture(scope="module")
def keeping(bundle, tmp_path_factory):
    """A service with a store."""
    with service(bundle, "--store", str(tmp_path_factory.mktemp("store"))) as running:
        yield running


@pytest.fixture
def eyes(tmp_path):
    """A photograph of each patient, none like another: training would refuse a picture that is there twice."""
    (tmp_path / "eyes").mkdir()
    for number in range(PATIENTS):
        disc, cup = (Ellipse(one.x - 30 * number, one.y, one.a, one.b, 0.0) for one in (DISC, CUP))
        image = photograph(disc=disc, cup=cup)
        clouds = np.random.default_rng(number).integers(30, 255, (15, 17), dtype=np.uint8)
        lit = image[..., 0] > 0
        image[lit, 0] = cv2.resize(clouds, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)[lit]
        write_png(tmp_path / "eyes" / f"p{number}_OD.png", image)
    return tmp_path / "eyes"


@pytest.fixture
def tab(browser, keeping):
    """A tab at the service, in which nothing may go wrong unseen."""
    context = browser.new_context(viewport=SIZE)
    desk = GraderPage(context.new_page(), keeping.port)
    yield desk
    context.close()
    # The next test finds the store empty.
    for entry in keeping.get("/v1/store/worklist?grader=end&round=1&masked=true").json["photographs"]:
        keeping.post("/v1/store/deletions", {"patient": entry["patient"], "grader": "end"})
    assert not desk.faults


def draw(desk, disc=(100, 120), cup=(50, 60)):
    """Draw disc and cup around the stage's middle, half axes in pixels of the screen."""
    stage = desk.page.locator("#stage").bounding_box()
    x, y = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
    for key, (half_width, half_height) in (("1", disc), ("2", cup)):
        desk.press(key, "e")
        desk.drag((x - half_width, y - half_height), (x + half_width, y + half_height))


def fit(export, output):
    """Train for one epoch on what was exported; returns the exit code."""
    reader = f"{{class_path: fundusseg.datasets.Folder, init_args: {{root: {export}, csv: photographs.csv}}}}"
    arguments = [*(one for one in TINY if "datasets" not in one and "batch_size" not in one), "--data.batch_size=2"]
    where = [f"--data.cache_dir={output}", f"--trainer.default_root_dir={output}"]
    command = [sys.executable, "-m", "fundusseg.fit", *arguments, f"--data.datasets=[{reader}]", *where]
    return subprocess.run(command, cwd=ROOT).returncode


def test_a_masked_grader_draws_before_she_sees(tab, eyes):
    tab.begin("anna", masked=True)
    tab.drop(eyes / "p0_OD.png")
    expect(tab.page.locator("#masked-note")).to_be_visible()
    expect(tab.page.locator("#figures")).to_be_hidden()
    expect(tab.page.locator("#stage .line")).to_have_count(0)
    assert tab.entry("p0").locator(".ratio").text_content() == ""
    draw(tab)
    expect(tab.page.locator("#stage .line")).to_have_count(2)
    # Her own ratio is hidden too until she confirms.
    expect(tab.page.locator("#figures")).to_be_hidden()
    tab.press("a")
    expect(tab.page.locator("#figures")).to_be_visible()
    expect(tab.page.locator("#stage .references .line.model")).to_have_count(2)
    assert float(tab.number("vertical_cdr")) == pytest.approx(0.5, abs=0.01)
    assert float(tab.number("vertical_cdr", "model")) == pytest.approx(CUP.b / DISC.b, abs=0.03)
    expect(tab.entry("p0")).to_have_attribute("data-state", "corrected")


def test_the_list_is_ordered_by_expected_gain_and_stays_so(tab, eyes):
    tab.begin("anna")
    tab.drop(eyes)
    tab.press("a")
    expect(tab.entry("p0")).to_have_attribute("data-state", "accepted")
    assert tab.names()[0].startswith("p0")
    tab.page.locator("#order").select_option("expected_gain")
    expect(tab.page.locator("#photographs li .name").last).to_contain_text("p0")
    tab.page.reload()
    tab.rest()
    expect(tab.page.locator("#photographs li .name").last).to_contain_text("p0")
    assert tab.page.locator("#order").input_value() == "expected_gain"


def test_a_reload_comes_back_to_where_one_stopped(tab, eyes):
    tab.begin("anna")
    tab.drop(eyes)
    tab.press("a")
    expect(tab.page.locator("#numbers h2")).to_have_text("p1_OD.png")
    tab.rest()
    tab.press("c", *["Shift+ArrowDown"] * 4)
    expect(tab.entry("p1").locator(".state")).to_contain_text("draft")
    drawn = tab.points()
    tab.page.reload()
    tab.rest()
    expect(tab.page.locator("#numbers h2")).to_have_text("p1_OD.png")
    expect(tab.entry("p0")).to_have_attribute("data-state", "accepted")
    tab.press("c")
    # The same points of the photograph; the screen shows it a little larger, as the disc has grown.
    assert len(tab.points()) == len(drawn)
    expect(tab.page.get_by_role("button", name="Save outline")).to_be_enabled()
    tab.press("a")
    expect(tab.entry("p1")).to_have_attribute("data-state", "corrected")
    tab.page.reload()
    tab.rest()
    expect(tab.entry("p1")).to_have_attribute("data-state", "corrected")


def test_a_deleted_patient_leaves_list_and_browser(tab, eyes):
    tab.begin("anna")
    tab.drop(eyes / "p0_OD.png", eyes / "p1_OD.png")
    tab.press("c", "Shift+ArrowUp")
    expect(tab.entry("p0").locator(".state")).to_contain_text("draft")
    drafts = "Object.keys(localStorage).filter(name => name.includes('draft')).length"
    assert tab.page.evaluate(drafts) == 1
    tab.page.get_by_role("button", name="Delete patient").click()
    dialog = tab.page.locator("#deletion")
    dialog.locator("input").fill("p1")
    dialog.get_by_role("button", name="Delete").click()
    # What was typed is not the patient that is chosen.
    expect(dialog).to_be_visible()
    dialog.locator("input").fill("p0")
    dialog.get_by_role("button", name="Delete").click()
    expect(tab.page.locator("#photographs li .name")).to_have_text(["p1_OD.png"])
    assert tab.page.evaluate(drafts) == 0


def test_two_graders_an_adjudicator_and_training_on_the_export(tab, keeping, eyes, tmp_path):
    tab.begin("anna")
    tab.drop(eyes)
    for number in range(PATIENTS):
        expect(tab.page.locator("#numbers h2")).to_have_text(f"p{number}_OD.png")
        tab.rest()
        tab.press("a")
    expect(tab.page.locator("#progress")).to_have_text(f"{PATIENTS} of {PATIENTS} graded")

    tab.change_grader("eva", masked=True)
    expect(tab.page.locator("#progress")).to_have_text(f"0 of {PATIENTS} graded")
    for number in range(PATIENTS):
        tab.rest()
        draw(tab, cup=(60, 80 if number == 2 else 65))
        tab.press("a")
        expect(tab.entry(f"p{number}")).to_have_attribute("data-state", "corrected")
        tab.press("ArrowDown")

    tab.change_grader("ida")
    tab.page.get_by_role("button", name="Adjudicate").click()
    # The photograph whose ratios differ most comes first; who drew what is not told.
    expect(tab.page.locator("#photographs li .name").first).to_have_text("p2_OD.png")
    expect(tab.page.locator("#numbers h2")).to_have_text("p2_OD.png")
    tab.rest()
    expect(tab.page.locator("#stage .references .line")).to_have_count(4)
    assert "eva" not in tab.page.locator("main").inner_text()
    tab.press("2")
    expect(tab.page.locator("#stage .lines .line")).to_have_count(2)
    expect(tab.page.locator("tr[data-measure=vertical_cdr] .own")).to_have_text(re.compile("[0-9]"))
    assert float(tab.number("vertical_cdr")) == pytest.approx(80 / 120, abs=0.01)
    tab.press("a")
    expect(tab.entry("p2")).to_have_attribute("data-state", "adjudicated")
    tab.page.get_by_role("button", name="Adjudicate").click()

    tab.page.get_by_role("button", name="Agreement").click()
    row = tab.page.locator("#agreement table").first.locator("tbody tr").first
    expect(row.locator("td").nth(1)).to_have_text("eva")
    # Anna saw the model's outlines before hers, so that no photograph was graded masked by both.
    expect(row.locator("td").nth(3)).to_have_text("0")
    tab.press("Escape")

    with tab.page.expect_download() as download:
        tab.page.get_by_role("button", name="Export", exact=True).click()
    with zipfile.ZipFile(download.value.path()) as archive:
        archive.extractall(tmp_path / "export")
    dataset = Folder(str(tmp_path / "export"), csv="photographs.csv")
    experts = {
        record.patient: {annotation.expert for annotation in dataset[at].annotations}
        for at, record in enumerate(dataset.records)
    }
    assert experts == {f"p{n}": {"anna", "eva"} | ({"adjudicated"} if n == 2 else set()) for n in range(PATIENTS)}
    assert fit(tmp_path / "export", tmp_path / "training") == 0
    assert list((tmp_path / "training").rglob("best.ckpt"))
