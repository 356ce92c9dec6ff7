"""The page in a real browser: Debian's Chromium, driven without a screen."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
SIZE = {"width": 1280, "height": 800}
TABLET = {"width": 820, "height": 1180}


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; the test is skipped where there is none."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `test`)")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    # A busy machine takes its time; nothing is slower for it where all goes well.
    driver.expect.set_options(timeout=30_000)
    with driver.sync_playwright() as playwright:
        # Root, as in a container, has no sandbox; only the page under test is opened.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class GraderPage:
    """What a grader sees and does at one service.

    Args:
        page: A tab of the browser.
        port: The service's.
    """

    def __init__(self, page: Any, port: int) -> None:
        self.page, self.address = page, f"http://127.0.0.1:{port}/"
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda message: message.type == "error" and self.faults.append(message.text))
        page.on("request", lambda request: self._expect_ours(request.url))
        page.goto(self.address)

    def _expect_ours(self, url: str) -> None:
        if not url.startswith((self.address, "blob:")):
            self.faults.append(f"asked {url}")

    def begin(self, grader: str, round_number: int = 1, masked: bool = False) -> None:
        """Say who grades, in the dialog that is open."""
        dialog = self.page.locator("#grader")
        dialog.locator("[name=grader]").fill(grader)
        dialog.locator("[name=round]").fill(str(round_number))
        dialog.locator("[name=masked]").set_checked(masked)
        dialog.get_by_role("button", name="Begin").click()

    def change_grader(self, grader: str, **how: Any) -> None:
        """Another one, or another round."""
        self.page.locator("#who").click()
        self.begin(grader, **how)

    def drop(self, *paths: Path, rest: bool = True) -> None:
        """Drop files or folders from the desktop on the stage, and wait until all are sent and the first is shown."""
        session = self.page.context.new_cdp_session(self.page)
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            session.send("Input.dispatchDragEvent", {"type": kind, "x": 600, "y": 400, "data": data})
        self.page.locator("#sending", has_text="taken").wait_for(timeout=60_000)
        if rest:
            self.rest()

    def rest(self) -> None:
        """Wait until the photograph that was asked for is shown."""
        self.page.locator("#stage[aria-busy=false]").wait_for()
        self.frame()

    def frame(self) -> None:
        """Wait until what was done is drawn."""
        self.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def entry(self, name: str) -> Any:
        """A line of the worklist."""
        return self.page.locator("#photographs li", has_text=name)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down()
        mouse.move(*end, steps=4)
        mouse.up()

    def points(self) -> list[tuple[float, float]]:
        """Where the points of the edited outline are on the screen."""
        self.frame()
        middles = """circles => circles.map(circle => {
            const box = circle.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        })"""
        return [(x, y) for x, y in self.page.locator("circle.point").evaluate_all(middles)]

    def line(self, region: str) -> dict[str, Any]:
        """Box and width on the screen of an outline, asked for at once: what is drawn anew replaces it."""
        self.frame()
        asked = """region => {
            const line = document.querySelector(`#stage .lines .line.${region}`);
            const {x, y, height} = line.getBoundingClientRect();
            return {x, y, height, width: getComputedStyle(line).strokeWidth};
        }"""
        return dict(self.page.evaluate(asked, region))

    def number(self, measure: str, whose: str = "own") -> str:
        return str(self.page.locator(f"tr[data-measure={measure}] .{whose}").text_content())

    def touch(self, starts: list[tuple[float, float]], ends: list[tuple[float, float]]) -> None:
        """Put fingers down, move them, and lift them."""
        session = self.page.context.new_cdp_session(self.page)
        for step in range(6):
            places = [
                (x + (to_x - x) * step / 5, y + (to_y - y) * step / 5)
                for (x, y), (to_x, to_y) in zip(starts, ends, strict=True)
            ]
            kind = "touchMove" if step else "touchStart"
            points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def scale(self) -> float:
        """Pixels of the screen for one of the photograph."""
        self.frame()
        box = self.page.locator("#picture").bounding_box()
        return float(box["width"] / self.page.locator("#picture").evaluate("image => image.naturalWidth"))

    def names(self) -> list[str]:
        return list(self.page.locator("#photographs li .name").all_text_contents())
