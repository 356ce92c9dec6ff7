"""The report as a browser shows it: sorted, flagged first, without the network."""

import html
import io
import json
import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fundusseg.imaging.image_files import encode_jpeg
from fundusseg.inference import report_page as page_module
from fundusseg.inference.report_page import SIDE, ReportRow, report_html, row_status, thumbnail
from fundusseg.reports.overlay import CUP_COLOUR, DISC_COLOUR

NASTY = "<img src=x onerror=document.title='owned'> & \"é\".png"


def row(file, vertical=None, **others):
    return {"file": file, "error": "", "vertical_cdr": vertical, "area_cdr": vertical, "reason": "", **others}


ROWS = [
    row("b10.png", 0.9, verdict="accept", reasons=""),
    row("b9.png", 0.1, verdict="accept", reasons=""),
    row("blurred.png", 0.5, verdict="review", reasons="not sharp", vertical_cdr_low=0.4, vertical_cdr_high=0.625),
    {"file": "text.jpg", "error": "cannot be decoded"},
    row("cat.png", verdict="reject", reasons="no fundus photograph"),
    row(NASTY, 0.25, verdict="accept", reasons=""),
    row("cupless.png", 0.0, reason="no cup found: ratio 0"),
]


@pytest.fixture
def report(tmp_path) -> Path:
    """The report of `ROWS`, with pictures."""
    (tmp_path / "small.jpg").write_bytes(encode_jpeg(np.full((16, 16, 3), 120, np.uint8)))
    lines = [ReportRow(r, tmp_path / f"été {n}_overlay.jpg", tmp_path / "small.jpg") for n, r in enumerate(ROWS)]
    made_by = {"checkpoint": "<b>best</b>", "thresholds": {"disc": 0.5}}
    (tmp_path / "report.html").write_bytes(report_html(lines, made_by, tmp_path))
    return tmp_path / "report.html"


@pytest.fixture(scope="module")
def chromium() -> str:
    names = ("chromium", "chromium-browser", "google-chrome")
    if path := next((path for name in names if (path := shutil.which(name))), None):
        return path
    pytest.skip("no Chromium on this machine (Debian package chromium)")


def browse(chromium, path, *arguments):
    """The document as it is after its scripts have run."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    command = [chromium, *options, "--virtual-time-budget=3000", f"--user-data-dir={path.parent / 'profile'}"]
    done = subprocess.run(
        [*command, *arguments, "--dump-dom", path.as_uri()], capture_output=True, timeout=120, check=True
    )
    return done.stdout.decode()


def with_script(report, script):
    """A copy that lets a test's script run and write into the document."""
    text = re.sub(r'(<meta http-equiv="Content-Security-Policy" content=").*?"', r'\1"', report.read_text("utf-8"))
    copy = report.with_name("copy.html")
    copy.write_text(text.replace("</body>", f"<pre id=said></pre><script>{script}</script></body>"), "utf-8")
    return copy


def said(document):
    return json.loads(html.unescape(re.search(r'<pre id="said">(.*?)</pre>', document, re.DOTALL)[1]))


ORDERS = """
const said = [];
const files = () => [...document.querySelectorAll("td.file")].map((cell) => cell.textContent);
const click = (name) => [...document.querySelectorAll("th button")].find((b) => b.textContent === name).click();
said.push(files());
for (const name of ["Vertical", "Vertical", "File", "Status"]) { click(name); said.push(files()); }
said.push(document.querySelector("th[aria-sort]").textContent);
said.push(performance.getEntriesByType("resource").length);
said.push(document.title);
said.push([...document.images].map((image) => image.complete && image.naturalWidth));
document.querySelector("#said").textContent = JSON.stringify(said);
"""


@pytest.mark.slow
def test_the_table_sorts_and_flagged_photographs_come_first(chromium, report):
    first, up, down, names, again, sorted_by, requests, title, widths = said(
        browse(chromium, with_script(report, ORDERS))
    )
    flagged = ["text.jpg", "cat.png", "blurred.png", "cupless.png"]
    assert first == [*flagged, "b10.png", "b9.png", NASTY]
    # Undefined ratios come last either way.
    assert up == ["cupless.png", "b9.png", NASTY, "blurred.png", "b10.png", "text.jpg", "cat.png"]
    assert down == ["b10.png", "blurred.png", NASTY, "b9.png", "cupless.png", "text.jpg", "cat.png"]
    assert names == [NASTY, "b9.png", "b10.png", "blurred.png", "cat.png", "cupless.png", "text.jpg"]
    assert again[:4] == flagged
    assert sorted_by == "Status" and requests == 0 and title == "Cup/disc ratios of 7 photographs"
    assert widths == [16] * 6


class Counter(BaseHTTPRequestHandler):
    """Notes what is asked for."""

    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        self.send_response(404)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.mark.slow
def test_the_page_asks_no_network_even_where_something_slipped_in(chromium, report):
    text = report.read_text("utf-8")
    assert "http:" not in text and "https:" not in text and "url(" not in text and "@import" not in text
    Counter.asked = []
    server = HTTPServer(("127.0.0.1", 0), Counter)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    foreign = (
        f"<img src='{address}/img'><script src='{address}/script'></script><link rel=stylesheet href='{address}/css'>"
    )
    foreign += f"<script>document.title = 'owned'; fetch('{address}/fetch')</script>"
    copy = report.with_name("slipped.html")
    copy.write_text(text.replace("</body>", f"{foreign}</body>"), "utf-8")
    assert "<title>Cup/disc ratios of 7 photographs</title>" in browse(chromium, copy)
    assert Counter.asked == []
    # Without the policy the same copy does ask: the test can fail.
    copy.write_text(copy.read_text("utf-8").replace("Content-Security-Policy", "X-Nothing"), "utf-8")
    assert "<title>owned</title>" in browse(chromium, copy)
    assert set(Counter.asked) >= {"/img", "/script", "/css", "/fetch"}
    server.shutdown()
    server.server_close()


def test_what_the_page_says(report):
    text = report.read_text("utf-8")
    for part in ("For research use", "0.40 to 0.62", "&lt;b&gt;best&lt;/b&gt;", "disc 0.5"):
        assert part in text, part
    assert re.findall(r"<strong>(\d+)</strong> ([a-z ]+)</li>", text) == [
        ("1", "failed"),
        ("1", "reject"),
        ("1", "review"),
        ("1", "look at"),
        ("3", "accept"),
    ]
    assert "5 defined; median 0.25" in text
    assert 'href="%C3%A9t%C3%A9%200_overlay.jpg"' in text and "<img src=x" not in text


def test_the_distribution_counts_each_ratio_in_its_bar():
    histogram = page_module._histogram([0.0, 0.049, 0.05, 0.35, 0.999, 1.0])
    counts = {bar["title"].split(":")[0]: bar["count"] for bar in histogram["bars"] if bar["count"]}
    assert counts == {"0.00 to 0.05": 2, "0.05 to 0.10": 1, "0.35 to 0.40": 1, "0.95 to 1.00": 2}


def test_many_photographs_have_links_instead_of_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(page_module, "EMBEDDED", 2)
    monkeypatch.setattr(page_module, "LISTED", 4)
    (tmp_path / "small.jpg").write_bytes(encode_jpeg(np.full((16, 16, 3), 120, np.uint8)))
    lines = [ReportRow(row(f"{n}.png", 0.5), tmp_path / f"{n}_overlay.jpg", tmp_path / "small.jpg") for n in range(6)]
    text = report_html(lines, {}, tmp_path).decode()
    assert text.count("data:image/jpeg;base64,") == 2 and text.count(">overlay</a>") == 2
    assert "after 4 of 6" in text and "6 defined" in text


def test_a_thousand_photographs_stay_below_20_megabytes(tmp_path):
    noise = np.random.default_rng(0).normal(120, 12, (160, 160, 3)).clip(0, 255).astype(np.uint8)
    (tmp_path / "small.jpg").write_bytes(encode_jpeg(noise, quality=80))  # more than a real thumbnail's 6 kB
    lines = [ReportRow(row(f"{n}.png", 0.5), tmp_path / f"{n}.jpg", tmp_path / "small.jpg") for n in range(1000)]
    assert (tmp_path / "small.jpg").stat().st_size > 6_500
    assert len(report_html(lines, {}, tmp_path)) < 20e6


def test_nobody_measured(tmp_path):
    assert b"No photograph has one." in report_html(
        [ReportRow({"file": "a", "error": "x"}, tmp_path, tmp_path)], {}, tmp_path
    )
    assert b"of 0 photographs" in report_html([], {}, tmp_path)


def test_a_name_that_is_no_unicode(tmp_path):
    line = ReportRow(row("caf\udce9.png", 0.5), tmp_path / "caf\udce9.jpg", tmp_path / "none.jpg")
    text = report_html([line], {}, tmp_path).decode()
    assert r"caf\udce9.png" in text and "caf%E9.jpg" in text


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ({"error": "x", "verdict": "accept"}, "failed"),
        ({"error": "", "verdict": "review", "reason": ""}, "review"),
        ({"error": "", "reason": "no disc found"}, "look at"),
        ({"error": "", "reason": "no disc looked for"}, "measured"),
        ({"error": "", "reason": ""}, "measured"),
    ],
)
def test_status(content, word):
    assert row_status(content) == word


def picture(height, width, disc, cup):
    """A label map of squares, as (top, left, side)."""
    labels = np.zeros((height, width), np.uint8)
    for code, (top, left, side) in ((1, disc), (2, cup)):
        labels[top : top + side, left : left + side] = code
    return labels


def seen(content, colour):
    """Where a colour is drawn: first and last row and column."""
    pixels = np.asarray(Image.open(io.BytesIO(content))).astype(int)
    assert pixels.shape == (SIDE, SIDE, 3)
    rows, columns = np.nonzero(np.abs(pixels - colour).max(axis=-1) < 110)
    return rows.min(), rows.max(), columns.min(), columns.max()


# The second disc lies so near the corner that the square moves into the picture.
@pytest.mark.parametrize(("top", "left", "first"), [(700, 900, 40), (0, 20, 0)])
def test_the_disc_fills_half_of_the_side(top, left, first):
    labels = picture(1600, 2000, (top, left, 400), (top + 100, left + 100, 200))
    content = thumbnail(np.zeros((1600, 2000, 3), np.uint8), labels)
    disc, cup = seen(content, DISC_COLOUR), seen(content, CUP_COLOUR)
    side = first if left > 400 else 4
    assert disc == pytest.approx((first, first + 80, side, side + 80), abs=2)
    assert cup == pytest.approx((first + 20, first + 60, side + 20, side + 60), abs=2)


@pytest.mark.parametrize("shape", [(300, 500), (500, 300)])
def test_without_a_disc_the_whole_photograph_is_shown(shape):
    image = np.full((*shape, 3), 200, np.uint8)
    pixels = np.asarray(Image.open(io.BytesIO(thumbnail(image, np.zeros(shape, np.uint8)))))
    assert pixels[SIDE // 2, SIDE // 2].tolist() == [200] * 3
    assert (pixels > 100).all(axis=-1).mean() == pytest.approx(0.6, abs=0.02)


def test_a_disc_as_large_as_the_picture():
    labels = np.ones((90, 120), np.uint8)
    assert thumbnail(np.full((90, 120, 3), 99, np.uint8), labels)[:2] == b"\xff\xd8"


def test_what_was_passed_over_is_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(page_module, "LISTED_PASSED_OVER", 2)
    passed_over = {Path(f"{n}.dcm"): ".dcm" for n in range(3)} | {Path("<b>.txt"): ".txt"}
    text = report_html([], {}, tmp_path, passed_over=passed_over).decode()
    assert "3 .dcm" in text and "0.dcm" in text and "2.dcm" not in text and "and 1 more" in text
    assert "1 .txt" in text and "&lt;b&gt;.txt" in text
    assert "Passed over" not in report_html([], {}, tmp_path).decode()


@pytest.mark.slow
def test_a_long_table_is_shown_in_parts_that_sort_and_find_all_of_it(tmp_path, chromium):
    ratios = np.random.default_rng(0).permutation(600) / 600
    lines = [
        ReportRow(row(f"p{n}.png", float(r)), tmp_path / "o.jpg", tmp_path / "no.jpg") for n, r in enumerate(ratios)
    ]
    report = tmp_path / "report.html"
    report.write_bytes(report_html(lines, {}, tmp_path))
    assert report.read_text().count('class="file">p') == 600, "without scripts all rows are there"

    def seen(script):
        text = browse(chromium, with_script(report, script))
        return re.findall(r'class="file">(p\d+\.png)<', text), re.search(r"<output>(.*?)</output>", text)[1]

    assert seen("") == ([f"p{n}.png" for n in range(250)], "1 to 250 of 600")
    on = 'document.querySelectorAll("#pager button")[1].click();'
    files, said = seen(on + on)
    assert files == [f"p{n}.png" for n in range(500, 600)] and said == "501 to 600 of 600"
    sort = 'document.querySelectorAll("th button")[2].click();'
    assert seen(sort)[0] == [f"p{n}.png" for n in np.argsort(ratios)[:250]]
    find = 'const s = document.querySelector("#pager input"); s.value = "P59"; s.dispatchEvent(new Event("input"));'
    assert seen(find) == (["p59.png", *(f"p{n}.png" for n in range(590, 600))], "1 to 11 of 11")
