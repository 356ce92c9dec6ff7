"""The graders' page in a real browser, at the real service."""

import json

import pytest

from fundusseg.datasets._phantom_ellipse import Ellipse
from fundusseg.imaging.image_files import write_png
from fundusseg.inference.conventions import Conventions
from tests.support.browser import SIZE, TABLET, GraderPage
from tests.support.located import CUP, DISC, photograph
from tests.support.service import service, write_bundle

pytestmark = pytest.mark.slow

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `test`)").expect

RATIO = f"{2 * round(CUP.b) / (2 * round(DISC.b)):.2f}"
"""Of what the painted photograph shows, to the two digits of the page."""


@pytest.fixture
def desk(browser, running):
    """The page of a service without a store; nothing may go wrong in it unseen."""
    tab = browser.new_page(viewport=SIZE)
    desk = GraderPage(tab, running.port)
    expect(tab.locator("body")).to_have_attribute("data-ready", "true")
    yield desk
    tab.close()
    assert not desk.faults


@pytest.fixture
def eyes(tmp_path):
    """Photographs of two patients, the second's disc farther to the left."""
    (tmp_path / "eyes").mkdir()
    write_png(tmp_path / "eyes" / "p1_OD.png", photograph())
    left = [Ellipse(x=one.x - 60, y=one.y, a=one.a, b=one.b, angle=0.0) for one in (DISC, CUP)]
    write_png(tmp_path / "eyes" / "p2_OS.png", photograph(disc=left[0], cup=left[1]))
    return tmp_path / "eyes"


def test_a_folder_is_dropped_and_nothing_goes_uncounted(desk, eyes):
    (eyes / "notes.txt").write_text("none")
    (eyes / "deeper").mkdir()
    (eyes / "deeper" / "p3.png").write_bytes(b"no picture")
    desk.drop(eyes)
    assert desk.names() == ["p1_OD.png", "p2_OS.png"]
    expect(desk.page.locator("#sending")).to_have_text("2 taken")
    refused = desk.page.locator("#not-taken li").all_text_contents()
    assert len(refused) == 2 and refused[0].startswith("p3.png: got ") and ".txt" in refused[1]
    expect(desk.page.locator("#numbers h2")).to_have_text("p1_OD.png")
    expect(desk.page.locator("[name=eye]:checked")).to_have_value("OD")
    assert desk.number("vertical_cdr") == desk.number("vertical_cdr", "model") == RATIO
    # The browser itself complains of the file that the service refused.
    assert [fault for fault in desk.faults if "422" not in fault and "415" not in fault] == []
    desk.faults.clear()


def test_a_point_dragged_by_mouse_changes_the_services_numbers_and_is_undone(desk, eyes):
    desk.drop(eyes / "p1_OD.png")
    desk.press("c")
    x, y = max(desk.points(), key=lambda point: point[1])
    height = int(desk.number("disc_height"))
    desk.drag((x, y), (x, y + 60))
    expect(desk.page.locator("tr[data-measure=disc_height] .own")).not_to_have_text(str(height))
    grown = int(desk.number("disc_height"))
    # The point was moved by as many pixels of the photograph as the screen's zoom makes of sixty.
    assert grown - height == pytest.approx(60 / desk.scale(), abs=3)
    assert desk.number("disc_height", "model") == str(height)
    assert float(desk.number("vertical_cdr")) == pytest.approx(int(desk.number("cup_height")) / grown, abs=0.005)
    expect(desk.page.get_by_role("button", name="Save outline")).to_be_enabled()
    desk.press("Control+z")
    expect(desk.page.locator("tr[data-measure=disc_height] .own")).to_have_text(str(height))
    expect(desk.page.get_by_role("button", name="Accept")).to_be_enabled()
    desk.press("Control+y")
    expect(desk.page.locator("tr[data-measure=disc_height] .own")).to_have_text(str(grown))


def test_a_press_on_a_line_edits_it_and_a_drag_from_there_pans(desk, eyes):
    desk.drop(eyes / "p1_OD.png")
    box = desk.line("cup")
    left, middle = box["x"] + 1, box["y"] + box["height"] / 2
    desk.drag((left, middle), (left + 30, middle))
    assert desk.points() == []
    assert desk.line("cup")["x"] == pytest.approx(box["x"] + 30, abs=1)
    desk.page.mouse.click(left + 30, middle)
    expect(desk.page.locator("circle.point.cup")).not_to_have_count(0)


def test_quick_drags_of_one_point_do_not_remove_it(desk, eyes):
    desk.drop(eyes / "p1_OD.png")
    desk.press("c")
    (x, y), *others = desk.points()
    for step in range(3):
        desk.drag((x, y - 10 * step), (x, y - 10 * (step + 1)))
    moved = desk.points()
    assert len(moved) == 1 + len(others) and moved[0] == pytest.approx((x, y - 30), abs=1.5)


def test_masked_without_a_store(desk, eyes):
    desk.page.locator("#who").click()
    expect(desk.page.locator("#grader [name=grader]")).to_be_hidden()
    desk.page.locator("#grader [name=masked]").check()
    desk.page.get_by_role("button", name="Begin").click()
    desk.drop(eyes / "p1_OD.png")
    expect(desk.page.locator("#figures")).to_be_hidden()
    expect(desk.page.locator("#stage .line")).to_have_count(0)
    desk.press("e", "e", "2", "e", "e", "a")
    expect(desk.page.locator("#figures")).to_be_visible()
    assert desk.number("vertical_cdr") == "0.50"
    assert desk.number("vertical_cdr", "model") == RATIO


def test_points_are_added_and_removed_by_mouse(desk, eyes):
    desk.drop(eyes / "p1_OD.png")
    desk.press("2")
    (x, y), (right, below), *others = desk.points()
    points, count = desk.page.locator("circle.point.cup"), 2 + len(others)
    desk.drag(((x + right) / 2, (y + below) / 2), ((x + right) / 2 + 25, (y + below) / 2))
    expect(points).to_have_count(count + 1)
    desk.page.mouse.dblclick(*desk.points()[1])
    expect(points).to_have_count(count)
    desk.page.mouse.click(*desk.points()[3], button="right")
    expect(points).to_have_count(count - 1)


def test_an_outline_is_corrected_and_a_list_worked_through_by_keyboard(desk, eyes):
    desk.drop(eyes)
    desk.press("c", ".", ".", ",")
    expect(desk.page.locator("#live")).to_contain_text("Disc, point 2 of")
    height = desk.number("disc_height")
    desk.press(",", *["Shift+ArrowUp"] * 6)
    expect(desk.page.locator("tr[data-measure=disc_height] .own")).not_to_have_text(height)
    count = len(desk.points())
    desk.press("n")
    expect(desk.page.locator("circle.point")).to_have_count(count + 1)
    desk.press("Delete")
    expect(desk.page.locator("circle.point")).to_have_count(count)
    desk.press("a")
    expect(desk.entry("p1_OD")).to_have_attribute("data-state", "corrected")
    expect(desk.page.locator("#numbers h2")).to_have_text("p2_OS.png")
    desk.rest()
    desk.press("r", "5")
    expect(desk.entry("p2_OS")).to_have_attribute("data-state", "rejected")
    expect(desk.page.locator("#decided")).to_contain_text("disc cut off")
    desk.press("r", "9", *"drusen", "Enter")
    expect(desk.page.locator("#decided")).to_contain_text("drusen")
    desk.press("w")
    expect(desk.entry("p2_OS")).to_have_attribute("data-state", "open")
    desk.press("a", "ArrowUp")
    expect(desk.entry("p2_OS")).to_have_attribute("data-state", "accepted")
    expect(desk.page.locator("#numbers h2")).to_have_text("p1_OD.png")
    with desk.page.expect_download() as download:
        desk.page.get_by_role("button", name="Export").click()
    first, second = json.loads(download.value.path().read_text())["photographs"]
    assert first["gradings"][0]["after"]["cup"] == first["contours"]["cup"]
    assert first["gradings"][0]["after"]["disc"] != first["contours"]["disc"]
    assert [grading["decision"] for grading in second["gradings"]] == ["reject", "reject", "withdraw", "accept"]
    assert second["gradings"][3]["after"] == second["contours"]


def test_nothing_is_decided_before_the_photograph_is_seen(desk, eyes):
    held = []
    desk.page.route("**/v1/pictures", lambda route: held.append(route))
    desk.drop(eyes / "p1_OD.png", rest=False)
    expect(desk.page.locator("#numbers h2")).to_have_text("p1_OD.png")
    desk.press("a")
    expect(desk.page.locator("#live")).to_contain_text("still on its way")
    expect(desk.page.locator("#stage .line")).to_have_count(0)
    held[0].continue_()
    desk.rest()
    expect(desk.entry("p1_OD")).to_have_attribute("data-state", "open")
    desk.press("a")
    expect(desk.entry("p1_OD")).to_have_attribute("data-state", "accepted")


def test_ellipses_begin_where_nothing_was_found(desk, tmp_path):
    nothing = photograph()
    nothing[..., 1:] = nothing[300, 100, 1:]
    write_png(tmp_path / "none.png", nothing)
    desk.drop(tmp_path / "none.png")
    expect(desk.page.locator("[data-command=accept]")).to_be_disabled()
    stage = desk.page.locator("#stage").bounding_box()
    x, y = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
    desk.press("e")
    desk.drag((x - 100, y - 120), (x + 100, y + 120))
    desk.press("2", "e")
    desk.drag((x - 50, y - 60), (x + 50, y + 60))
    expect(desk.page.locator("tr[data-measure=area_cdr] .own")).to_have_text("0.25")
    assert float(desk.number("vertical_cdr")) == pytest.approx(0.5, abs=0.01)
    assert len(desk.points()) == 12
    desk.press("a")
    expect(desk.entry("none")).to_have_attribute("data-state", "corrected")


def test_the_eyes_side_mirrors_the_rim(desk, eyes):
    desk.drop(eyes / "p1_OD.png")
    rim = desk.page.locator("#rim .least")
    before = rim.get_attribute("cx")
    desk.page.get_by_role("radio", name="Left").check()
    expect(rim).not_to_have_attribute("cx", before)
    desk.press("Control+z")
    expect(desk.page.get_by_role("radio", name="Right")).to_be_checked()
    expect(rim).to_have_attribute("cx", before)


def test_lines_are_about_a_pixel_wide_at_every_zoom(desk, eyes):
    desk.drop(eyes / "p1_OD.png")
    for key in ("0", "6", "+"):
        before = desk.line("disc")
        desk.press(key)
        line = desk.line("disc")
        assert line["width"] == "1.2px"
        assert key == "0" or line["height"] > before["height"]


def test_light_is_red_free_and_comes_back(desk, eyes):
    desk.drop(eyes / "p1_OD.png")
    picture = desk.page.locator("#picture")
    expect(picture).to_have_css("filter", "contrast(1) brightness(1)")
    desk.press("g", "8")
    expect(picture).to_have_css("filter", 'url("#red-free") contrast(1.25) brightness(1)')
    desk.press("9")
    expect(picture).to_have_css("filter", "contrast(1) brightness(1)")


def test_fingers_drag_a_point_and_zoom(browser, running, eyes):
    context = browser.new_context(viewport=TABLET, has_touch=True, is_mobile=True)
    desk = GraderPage(context.new_page(), running.port)
    expect(desk.page.locator("body")).to_have_attribute("data-ready", "true")
    desk.page.locator("#files").set_input_files(eyes / "p1_OD.png")
    desk.rest()
    desk.page.get_by_role("button", name="Correct").tap()
    x, y = desk.points()[0]
    height = desk.number("disc_height")
    # A finger's middle lies beside the point: it takes hold all the same, and the point does not jump.
    desk.touch([(x + 12, y)], [(x + 12, y - 50)])
    expect(desk.page.locator("tr[data-measure=disc_height] .own")).not_to_have_text(height)
    assert desk.points()[0] == pytest.approx((x, y - 50), abs=1.5)
    before = desk.scale()
    x, y = desk.page.locator("#stage").bounding_box()["x"] + 400, desk.page.locator("#stage").bounding_box()["y"] + 30
    desk.touch([(x - 40, y), (x + 40, y)], [(x - 80, y), (x + 80, y)])
    assert desk.scale() == pytest.approx(2 * before, rel=0.05)
    buttons = desk.page.locator("button:visible").all()
    small = [button.text_content() for button in buttons if button.bounding_box()["height"] < 44]
    assert not small
    context.close()
    assert not desk.faults


def test_a_token_is_asked_for_once(browser, bundle, eyes):
    token = "a token of thirty-one characters"
    with service(bundle, FUNDUSSEG_TOKEN=token) as guarded:
        desk = GraderPage(browser.new_page(viewport=SIZE), guarded.port)
        dialog = desk.page.locator("#token")
        for given in ("not this one", token):
            dialog.locator("input").fill(given)
            desk.press("Enter")
            if given != token:
                expect(dialog.locator("input")).to_have_value("")
        expect(desk.page.locator("body")).to_have_attribute("data-ready", "true")
        desk.drop(eyes / "p1_OD.png")
        assert desk.number("vertical_cdr") == RATIO
        desk.page.reload()
        expect(desk.page.locator("body")).to_have_attribute("data-ready", "true")
        expect(dialog).to_be_hidden()
        desk.page.close()
    assert [fault for fault in desk.faults if "401" not in fault] == []


def test_readers_of_the_bundle_are_a_slider_and_the_service_draws_as_it_stands(desk, browser, eyes, tmp_path):
    expect(desk.page.locator("#convention")).to_be_hidden()  # a bundle that knows no reader
    made = write_bundle(tmp_path, readers=Conventions({"tight": -2.0, "wide": 3.0}))
    with service(made) as running:
        tab = browser.new_page(viewport=SIZE)
        own = GraderPage(tab, running.port)
        asked = []
        tab.on("request", lambda request: asked.append(request.url))
        tab.get_by_label("Cup: strict to generous").fill("0.5")
        own.drop(eyes / "p1_OD.png")
        assert any("v1/predictions?convention=0.5" in url for url in asked)
        assert own.names() == ["p1_OD.png"]
        tab.close()
        assert not own.faults
