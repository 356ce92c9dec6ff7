"""The picture of one eye that a clinician reads: photograph with contours, vertical diameters, rim profile, numbers."""

import math
import re
import threading
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.projections.polar import PolarAxes

from fundusseg.errors import ImageError
from fundusseg.imaging.roi import Box, bounds, crop, disc_box
from fundusseg.measures.contours import Points, contours
from fundusseg.measures.cup_disc import Measures
from fundusseg.measures.label_map import region_mask
from fundusseg.measures.rim import Rim, place, ray
from fundusseg.reports.overlay import CUP_COLOUR, DISC_COLOUR
from fundusseg.sample import CUP, DISC, Image, Region

WIDTH, HEIGHT = 1200, 600
"""Size of the picture in pixels: the photograph's square on the left, all else on the right."""

_DIAMETERS = 2.0
"""Side of the shown square in disc diameters."""

_MUCH_LARGER = 1.6
"""The whole photograph is shown as well where it is that many times the square's side."""

_BACKGROUND, _TEXT, _FAINT, _MARK = "#15181c", "#f2f4f6", "#9aa4ae", "#ff8a3d"

_LOCK = threading.Lock()
"""Matplotlib draws text from fonts that threads share."""


def chart(
    image: Image,
    label_map: npt.NDArray[np.uint8],
    measures: Measures,
    rim: Rim,
    *,
    outlines: Mapping[Region, Points] | None = None,
    title: str = "",
    caption: str = "",
) -> Image:
    """Draw one eye's picture.

    Args:
        image: H x W x 3 uint8 RGB.
        label_map: H x W uint8; 0 background, 1 rim, 2 cup.
        measures: Of this map.
        rim: Of this map; its eye names the sides. The profile shows the rim/disc ratio as it lies on the photograph.
        outlines: Sub-pixel contours of disc and cup; without them the map's own borders are drawn.
        title: The photograph's name or whatever it is known by.
        caption: Stands below the vertical ratio: an interval, a verdict.

    Returns:
        HEIGHT x WIDTH x 3 uint8 RGB. Without a disc it is the whole photograph with the reason.

    Raises:
        ImageError: Map and picture differ in size.
    """
    if label_map.shape != image.shape[:2]:
        raise ImageError(
            f"a label map of {label_map.shape[1]} x {label_map.shape[0]} pixels",
            f"the picture's own {image.shape[1]} x {image.shape[0]}",
            "bring the label map to the picture's size",
        )
    disc = region_mask(label_map, DISC)
    found = bool(disc.any())
    side = max(image.shape[:2])
    whole = Box((image.shape[0] - side) // 2, (image.shape[1] - side) // 2, side, side)
    box = disc_box(disc, _DIAMETERS) if found else whole
    with _LOCK:
        figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100, facecolor=_BACKGROUND)
        canvas = FigureCanvasAgg(figure)
        axes = _picture(figure, (0, 0, HEIGHT, HEIGHT), crop(image, box, HEIGHT), box)
        if found:
            _draw_outlines(axes, contours(label_map) if outlines is None else outlines)
            _draw_diameters(axes, label_map, rim)
            _draw_sides(axes, box, rim)
            large = side > _MUCH_LARGER * box.height
            if measures.cup_area > 0:  # of a disc alone every radius is rim, which tells nothing
                _draw_narrowest(axes, rim)
                _draw_profile(figure, rim, 924 if large else 790)
            if large:
                _draw_whole(figure, image, box)
        _write(figure, measures, rim, title, caption)
        canvas.draw()  # type: ignore[no-untyped-call]
        pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    return np.ascontiguousarray(pixels[..., :3])


def _place(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    """A rectangle in pixels from the upper left corner, as matplotlib counts."""
    return x / WIDTH, 1 - (y + height) / HEIGHT, width / WIDTH, height / HEIGHT


def _colour(rgb: tuple[int, int, int]) -> tuple[float, float, float]:
    return rgb[0] / 255, rgb[1] / 255, rgb[2] / 255


def _picture(figure: Figure, where: tuple[float, float, float, float], pixels: Image, box: Box) -> Axes:
    """Show pixels that were cut from a box; the axes count in the photograph's pixels."""
    axes = figure.add_axes(_place(*where))
    # Whole numbers are pixel centres: a box begins half a pixel before its first one.
    left, top = box.left - 0.5, box.top - 0.5
    axes.imshow(pixels, extent=(left, left + box.width, top + box.height, top), interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    axes.autoscale(False)
    return axes


def _draw_outlines(axes: Axes, outlines: Mapping[Region, Points]) -> None:
    """Disc and cup, each on a dark line, so that they are seen on a bright disc as well."""
    for region, colour in ((DISC, DISC_COLOUR), (CUP, CUP_COLOUR)):
        points = outlines.get(region, np.empty((0, 2)))
        if len(points):
            closed = np.concatenate([points, points[:1]])
            axes.plot(*closed.T, color="black", alpha=0.45, linewidth=3.2)
            axes.plot(*closed.T, color=_colour(colour), linewidth=1.8)


def _draw_diameters(axes: Axes, label_map: npt.NDArray[np.uint8], rim: Rim) -> None:
    """The vertical extents whose ratio is taken, side by side at the disc's centre."""
    apart = 0.03 * (axes.get_xlim()[1] - axes.get_xlim()[0])
    for region, colour, aside in ((DISC, DISC_COLOUR, -apart / 2), (CUP, CUP_COLOUR, apart / 2)):
        if box := bounds(region_mask(label_map, region)):
            x, ends = rim.centre[0] + aside, (box.top - 0.5, box.top + box.height - 0.5)
            style: dict[str, Any] = {"color": _colour(colour), "solid_capstyle": "butt"}
            axes.plot([x, x], ends, linewidth=1.4, linestyle=(0, (5, 2)), **style)
            for end in ends:
                axes.plot([x - apart, x + apart], [end, end], linewidth=1.6, **style)


def _draw_narrowest(axes: Axes, rim: Rim) -> None:
    """The narrowest rim, from the cup's border to the disc's; a dot where it is absent."""
    angle = rim.narrowest[1]
    if not math.isnan(angle):
        degree = round(angle) % 360
        step = np.array([direction[degree] for direction in ray(rim.eye)])
        outer = rim.disc_radius[degree]
        line = np.array(rim.centre) + np.outer([outer - rim.width[degree], outer], step)
        axes.plot(*line.T, color=_MARK, linewidth=3.5, solid_capstyle="round")
        axes.plot(*line[1], "o", color=_MARK, markersize=7)


def _draw_sides(axes: Axes, box: Box, rim: Rim) -> None:
    """Which side is nasal and which temporal, where the eye is known."""
    if rim.eye is None:
        return
    left, right = ("T", "N") if rim.eye == "OD" else ("N", "T")
    middle = box.top + box.height / 2
    for x, letter in ((0.025, left), (0.975, right)):
        axes.text(
            box.left + x * box.width, middle, letter, color=_TEXT, fontsize=13, weight="bold", ha="center", va="center"
        )


def _draw_profile(figure: Figure, rim: Rim, left: float) -> None:
    """Rim/disc ratio by angle, as it lies on the photograph."""
    axes = PolarAxes(figure, _place(left, 318, 222, 222), facecolor=_BACKGROUND)
    figure.add_axes(axes)
    axes.set_theta_zero_location("N")
    # Angles run from superior to nasal, which lies to the right on a right eye's photograph.
    axes.set_theta_direction(1 if rim.eye == "OS" else -1)
    share = np.nan_to_num(rim.share)
    angle = np.deg2rad(np.arange(361))
    # One value a degree, and the first again, so that the line closes.
    values = np.append(share, share[0])
    axes.fill(angle, values, color=_colour(DISC_COLOUR), alpha=0.35, linewidth=0)
    axes.plot(angle, values, color=_colour(DISC_COLOUR), linewidth=1.6)
    ratio, narrowest = rim.narrowest
    if not math.isnan(narrowest):
        axes.plot([math.radians(narrowest)] * 2, [0, ratio], color=_MARK, linewidth=2)
        axes.plot([math.radians(narrowest)], [ratio], "o", color=_MARK, markersize=6)
    top = 0.1 * max(2, math.ceil(10 * float(share.max()) - 0.2))
    axes.set_ylim(0, top)
    ticks = np.arange(0.1, top + 0.01, 0.1)
    axes.set_yticks(ticks, [f"{tick:.1f}" for tick in ticks], color=_FAINT, fontsize=7)
    axes.set_rlabel_position(22.5)
    names = ("S", "N", "I", "T") if rim.eye else ("12", "3", "6", "9")
    axes.set_xticks(np.deg2rad([0, 90, 180, 270]), names, color=_TEXT, fontsize=11, weight="bold")
    axes.tick_params(pad=-1)
    axes.grid(color="#4a535c", linewidth=0.6)
    axes.spines["polar"].set_color("#4a535c")
    figure.text(
        (left + 111) / WIDTH, 1 - 586 / HEIGHT, "Rim/disc ratio by angle", color=_FAINT, fontsize=9, ha="center"
    )


def _draw_whole(figure: Figure, image: Image, box: Box) -> None:
    """The whole photograph, small, with the square that is shown large."""
    height, width = image.shape[:2]
    scale = min(262 / width, 240 / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    axes = _picture(figure, (624, 309 + (240 - size[1]) / 2, *size), small, Box(0, 0, height, width))
    axes.add_patch(Rectangle((box.left, box.top), box.width, box.height, fill=False, edgecolor=_TEXT, linewidth=1.2))


def _write(figure: Figure, measures: Measures, rim: Rim, title: str, caption: str) -> None:
    """The numbers, largest what is asked for first."""

    def line(x: float, y: float, text: str, size: float, colour: str = _TEXT, **style: Any) -> None:
        # A file's name may hold a $, which begins a formula otherwise.
        figure.text(x / WIDTH, 1 - y / HEIGHT, text, color=colour, fontsize=size, parse_math=False, **style)

    eye = {"OD": "right eye (OD)", "OS": "left eye (OS)", None: "eye not known"}[rim.eye]
    line(624, 36, _short(title, 40), 12, weight="bold")
    line(1176, 36, eye, 10, _FAINT, ha="right")
    line(624, 66, "Vertical cup/disc ratio", 10.5, _FAINT)
    undefined = math.isnan(measures.vertical_cdr)
    line(624, 116, "undefined" if undefined else f"{measures.vertical_cdr:.2f}", 34, weight="bold")
    line(910 if undefined else 766, 112, _short(caption, 30 if undefined else 46), 12)
    for row, (name, value) in enumerate(_rows(measures, rim)):
        line(624, 150 + 23 * row, name, 10.5, _FAINT)
        line(790, 150 + 23 * row, value, 10.5)


def _rows(measures: Measures, rim: Rim) -> list[tuple[str, str]]:
    """Name and value of each line; what is undefined says why or is left out."""
    rows = [("Note", measures.reason)] if measures.reason else []
    if math.isnan(measures.disc_area):
        return rows
    size = f"{measures.disc_height:.0f} x {measures.disc_width:.0f} pixels"
    if not math.isnan(measures.disc_area_mm2):
        size += f", {measures.disc_area_mm2:.2f} mm\N{SUPERSCRIPT TWO}"
    rows += [("Disc, height x width", size)]
    if math.isnan(measures.vertical_cdr):
        return rows
    where = place(measures.rim_min_angle, rim.eye)
    ratios = f"{measures.horizontal_cdr:.2f} horizontal, {measures.area_cdr:.2f} by area"
    rows = [("Cup/disc ratio", ratios), *rows]
    if measures.cup_area == 0:
        return rows
    # Initials, so that three broken steps fit the line.
    broken = re.sub(r"([a-z])[a-z]+", lambda word: word[1].upper(), measures.isnt_reason)
    isnt = {1.0: "kept", 0.0: f"not kept: {broken}"}.get(measures.isnt_kept, measures.isnt_reason)
    return [
        *rows,
        ("Narrowest rim/disc", f"{measures.rim_min_ratio:.2f}" + (f", {where}" if where else "")),
        ("Rim absent", f"{measures.rim_absent:.0f}\N{DEGREE SIGN}"),
        ("ISNT order", isnt),
    ]


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}\N{HORIZONTAL ELLIPSIS}"
