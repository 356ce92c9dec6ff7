"""The patients' page in a real browser: sorts, flickers, obeys the keyboard, asks nothing of any network."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fundusseg.imaging.image_files import encode_png, write_png
from fundusseg.inference.report_page import thumbnail
from fundusseg.inference.result_paths import contours_path, label_map_path, thumbnail_path
from fundusseg.inference.run_journal import JournalEntry
from fundusseg.measures.contours import as_json, contours
from fundusseg.measures.repeatability import Repeatability
from fundusseg.patients import summary
from fundusseg.patients.identity import Identities, Identity
from fundusseg.patients.run_files import RunFiles
from fundusseg.patients.summary import summarise_patients
from tests.support.browser import SIZE, chromium
from tests.support.visits import fundus, motion, moved

KNOWN = Repeatability({**Repeatability().within_eye, "vertical_cdr": 0.02})
MADE_BY = {"fundusseg": "1", "checkpoint": "sha256 ab", "checkpoint file": "a", "convention": "consensus", "views": 1}
SIZES = {"disc_area": 9000.0, "disc_height": 110.0, "rim_absent": 0.0, "nominal_mm_per_pixel": 0.016}
NASTY = "<img src=x onerror=document.title='owned'>"
VISITS = [
    ("steady", "OD", "2019-01-01", 0.50),
    ("steady", "OD", "2021-01-01", 0.51),
    ("steady", "OS", "2021-01-01", 0.52),
    ("worse", "OS", "2018-01-01", 0.50),
    ("worse", "OS", "2020-01-01", 0.62),
    ("worse", "OS", "2022-01-01", 0.74),
    ("worse", "OD", "2022-01-01", 0.35),
    (NASTY, "OD", "", 0.4),
]


def run(output: Path) -> None:
    """What predict leaves of `VISITS`, and the patients' summary of it."""
    image, labels = fundus()
    entries, identities = [], {}
    for number, (patient, eye, day, ratio) in enumerate(VISITS):
        name = f"p{number}"
        matrix = motion(3.0 * (number % 3), 1, 5 * (number % 2), 0)
        picture, codes = moved(image, matrix), moved(labels, matrix)
        write_png(output / f"{name}.png", picture)
        label_map_path(output, name).write_bytes(encode_png(codes))
        contours_path(output, name).write_text(json.dumps({"contours": as_json(contours(codes))}))
        small = thumbnail_path(output, name)
        small.parent.mkdir(parents=True, exist_ok=True)
        small.write_bytes(thumbnail(picture, codes))
        row = {"file": f"{name}.png", "error": "", "eye": eye, "vertical_cdr": ratio, "rim_min_ratio": 0.2}
        row |= SIZES
        entries.append(JournalEntry(name, str(output / f"{name}.png"), 0, 0, "", row))
        identities[name] = Identity(patient, eye, day)
    summarise_patients(entries, Identities([], identities), MADE_BY, RunFiles(output), KNOWN)


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("patients")
    run(folder)
    return folder


@pytest.fixture(scope="module")
def page(output):
    with chromium() as browser:
        page = browser.new_page(viewport=SIZE)
        page.faults = []
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("console", lambda message: page.faults.append(message.text))
        page.on(
            "request", lambda request: request.url.startswith(("file:", "data:")) or page.faults.append(request.url)
        )
        yield page


@pytest.fixture
def opened(page, output):
    page.goto("about:blank")
    page.goto((output / "patients.html").as_uri())
    yield page
    assert page.faults == [] and page.title() == "3 patients: both eyes, and their visits"


def names(page):
    return page.locator("tr[data-patient] a").all_text_contents()


def shown(page):
    return page.locator(".patient:visible h2").all_text_contents()


def visit(page):
    return page.locator(".patient:visible .visits figure.shown strong").first.text_content()


@pytest.mark.slow
def test_the_changed_patient_is_first_and_headings_sort(opened):
    assert names(opened)[0] == "worse" and shown(opened) == ["worse"]
    opened.locator("th button:text-is('Right')").click()
    assert names(opened) == ["worse", NASTY, "steady"]
    opened.locator("th button:text-is('Asymmetry')").click()
    assert names(opened) == ["steady", "worse", NASTY]
    opened.locator("th button:text-is('Asymmetry')").click()
    assert names(opened) == ["worse", "steady", NASTY]


@pytest.mark.slow
def test_flicker_goes_through_the_visits_and_stops(opened):
    flicker = opened.locator(".patient:visible [data-do=flicker]")
    flicker.click()
    assert flicker.get_attribute("aria-pressed") == "true"
    days = set()
    for _ in range(12):
        days.add(visit(opened))
        opened.wait_for_timeout(200)
    assert days == {"2018-01-01", "2020-01-01", "2022-01-01"}
    flicker.click()
    still = visit(opened)
    opened.wait_for_timeout(700)
    assert visit(opened) == still and flicker.get_attribute("aria-pressed") == "false"


@pytest.mark.slow
def test_all_of_it_is_done_by_the_keyboard(opened):
    press = opened.keyboard.press
    assert visit(opened) == "2022-01-01"
    press("ArrowLeft")
    assert visit(opened) == "2020-01-01"
    press("ArrowRight")
    assert visit(opened) == "2022-01-01"
    lines = opened.locator(".patient:visible .picture svg:visible")
    assert lines.count() == 1
    press("o")
    assert lines.count() == 0
    press("s")
    assert opened.locator(".patient:visible .visits figure:visible").count() == 3
    press("Space")
    assert opened.locator(".patient:visible [data-do=flicker]").get_attribute("aria-pressed") == "true"
    press("n")
    assert shown(opened) == [NASTY] and opened.url.endswith("#patient-1")
    press("p")
    assert shown(opened) == ["worse"]
    opened.locator("tr[data-patient] a", has_text="steady").focus()
    press("Enter")
    # A link's fragment is told to the page a moment later.
    opened.locator(".patient:visible", has_text="steady").wait_for()
    assert shown(opened) == ["steady"]


@pytest.mark.slow
def test_right_stands_beside_left_and_both_are_explained(opened):
    eyes = opened.locator(".patient:visible .eye")
    assert eyes.locator("h3").all_text_contents() == ["Right eye (OD)", "Left eye (OS)"]
    right, left = (eyes.nth(number).bounding_box() for number in (0, 1))
    assert right["y"] == left["y"] and right["x"] + right["width"] <= left["x"]
    assert "the vertical ratio rose beyond measurement error: +0.24" in eyes.nth(1).text_content()
    assert "convention of 0.2 is reached" in opened.locator(".patient:visible").text_content()
    assert eyes.nth(1).locator(".chart circle").count() == 3
    assert "average" in eyes.nth(0).text_content() and "nominal" in eyes.nth(0).text_content()
    sizes = opened.locator(".patient:visible img").evaluate_all("all => all.map(i => i.complete && i.naturalWidth)")
    assert set(sizes) == {160, 320}
    opened.keyboard.press("n")
    assert opened.locator(".patient:visible .missing").text_content() == "No photograph of the left eye."


@pytest.mark.slow
def test_more_patients_than_a_page_of_the_table_are_all_reached(page, tmp_path):
    names_ = [f"P{number:03}" for number in range(253)]
    entries = [
        JournalEntry(name, name, 0, 0, "", {"file": name, "error": "", "eye": "OD", "vertical_cdr": 0.5, **SIZES})
        for name in names_
    ]
    summarise_patients(
        entries, Identities([], {name: Identity(name) for name in names_}), MADE_BY, RunFiles(tmp_path), KNOWN
    )
    page.goto((tmp_path / "patients.html").as_uri())
    assert names(page) == names_[:250]
    for _ in range(250):
        page.keyboard.press("n")
    assert shown(page) == ["P250"] and names(page) == names_[250:]
    page.keyboard.press("p")
    assert shown(page) == ["P249"] and names(page)[-1] == "P249"
    page.locator("#pager input").press_sequentially("p25")
    assert names(page) == names_[250:] and shown(page) == ["P249"], "letters in the field are no keys"
    assert page.faults == []


def test_the_same_results_give_the_same_page(output):
    before = (output / "patients.html").read_bytes()
    run(output)
    assert (output / "patients.html").read_bytes() == before


def test_pictures_beyond_the_limit_are_those_of_changed_eyes(tmp_path, monkeypatch):
    monkeypatch.setattr(summary, "EMBEDDED", 0)
    run(tmp_path)
    page = (tmp_path / "patients.html").read_text()
    assert page.count('width="320"') == 3 and "steady" in page


def test_a_run_of_nobody_writes_no_table(tmp_path):
    entry = JournalEntry("a", "a", 0, 0, "", {"file": "a", "error": "", "eye": "OD", "vertical_cdr": 0.5})
    summarise_patients([replace(entry)], Identities([]), MADE_BY, RunFiles(tmp_path), KNOWN)
    assert not [*tmp_path.iterdir()]
