"""Figures as SVG: the same numbers give the same bytes."""

import io
import threading

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

_LOCK = threading.Lock()
"""Matplotlib's settings and fonts are the process's."""


def svg(figure: Figure) -> bytes:
    """Write a figure as SVG, its text as text."""
    buffer = io.BytesIO()
    with _LOCK, mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "fundusseg"}):
        FigureCanvasSVG(figure)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
