"""The README's pictures: what predict gives for synthetic photographs, and its report as a browser shows it.

    python tools/draw_examples.py

Needs Chromium and playwright (extra `test`). Writes overlay.jpg, chart.jpg and report.jpg into tools/pictures.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import cv2
from playwright.sync_api import sync_playwright

from fundusseg import predict
from fundusseg.datasets import Phantom
from fundusseg.imaging.image_files import encode_jpeg, read_photograph, write_png
from fundusseg.imaging.roi import crop, disc_box

PICTURES = Path(__file__).parent / "pictures"
SEED = 5
"""Of the synthetic photographs; those of another seed do as well."""

_SIDE, _CHART, _REPORT = 300, (600, 300), {"width": 1000, "height": 620}


def main() -> int:
    """Draw them all."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for number, phantom in enumerate(Phantom(count=6, size=768, seed=SEED)):
            write_png(folder / f"eye_{number + 1}.png", phantom.image)
        if code := predict.main([place, "--output", f"{place}/out", "--charts", "true"]):
            return code
        _draw_overlay(folder / "out")
        _draw_chart(folder / "out")
        _draw_report(folder / "out" / "report.html")
    return 0


def _draw_overlay(output: Path) -> None:
    name = next(iter(sorted(output.glob("*_overlay.jpg"))))
    labels = cv2.imread(str(name.with_name(name.name.replace("_overlay.jpg", "_labels.png"))), cv2.IMREAD_GRAYSCALE)
    shown = crop(read_photograph(name), disc_box(labels > 0, 2.0), _SIDE)
    (PICTURES / "overlay.jpg").write_bytes(encode_jpeg(shown))


def _draw_chart(output: Path) -> None:
    name = next(iter(sorted(output.glob("*_chart.*"))))
    shown = cv2.resize(read_photograph(name), _CHART, interpolation=cv2.INTER_AREA)
    (PICTURES / "chart.jpg").write_bytes(encode_jpeg(shown))


def _draw_report(page: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport=_REPORT)
        tab.goto(page.as_uri())
        tab.screenshot(path=PICTURES / "report.jpg", type="jpeg", quality=80)
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
