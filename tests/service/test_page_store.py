"""Graders at a service that keeps what they do: masked, a second one, adjudication, and training on the export."""

import zipfile

import pytest

from fundusseg.datasets._phantom_ellipse import Ellipse
from fundusseg.imaging.image_files import write_png
from tests.support.browser import SIZE, GraderPage, chromium
from tests.support.located import CUP, DISC, photograph
from tests.support.service import service

pytestmark = pytest.mark.slow

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `test`)").expect

PATIENTS = 4


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def keeping(bundle, tmp_path):
    """A service with an empty store."""
    with service(bundle, "--store", str(tmp_path / "store")) as running:
        yield running


@pytest.fixture
def eyes(tmp_path):
    """A photograph of each patient, whose discs lie apart."""
    (tmp_path / "eyes").mkdir()
    for number in range(PATIENTS):
        disc, cup = (Ellipse(one.x - 30 * number, one.y, one.a, one.b, 0.0) for one in (DISC, CUP))
        write_png(tmp_path / "eyes" / f"p{number}_OD.png", photograph(disc=disc, cup=cup))
    return tmp_path / "eyes"


@pytest.fixture
def tab(browser, keeping):
    """A tab at the service, in which nothing may go wrong unseen."""
    context = browser.new_context(viewport=SIZE)
    desk = GraderPage(context.new_page(), keeping.port)
    yield desk
    context.close()
    assert not desk.faults


def draw(desk, disc=(100, 120), cup=(50, 60)):
    """Draw disc and cup around the stage's middle, half axes in pixels of the screen."""
    stage = desk.page.locator("#stage").bounding_box()
    x, y = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
    for key, (half_width, half_height) in (("1", disc), ("2", cup)):
        desk.press(key, "e")
        desk.drag((x - half_width, y - half_height), (x + half_width, y + half_height))


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
    assert float(tab.number("vertical_cdr")) == pytest.approx(80 / 120, abs=0.01)
    tab.press("a")
    expect(tab.entry("p2")).to_have_attribute("data-state", "adjudicated")
    tab.page.get_by_role("button", name="Adjudicate").click()

    tab.page.get_by_role("button", name="Agreement").click()
    expect(tab.page.locator("#agreement table").first).to_contain_text("eva")
    tab.press("Escape")

    with tab.page.expect_download() as download:
        tab.page.get_by_role("button", name="Export", exact=True).click()
    with zipfile.ZipFile(download.value.path()) as archive:
        archive.extractall(tmp_path / "export")
