"""The one place that knows where templates lie and how they are filled: HTML pages that open offline, plain text."""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jinja2
from markupsafe import Markup

_FOLDER = Path(__file__).with_name("templates")


Filters = Mapping[str, Callable[..., str]]
"""Functions that a template calls, by name."""


def template_environment(filters: Filters, autoescape: bool = True, **settings: Any) -> jinja2.Environment:
    """The templates' environment; a name that a template is not given is an error.

    Args:
        filters: What the template calls.
        autoescape: Escape as HTML does.
        settings: Further ones of `jinja2.Environment`.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        autoescape=autoescape,
        **settings,
    )
    environment.filters.update(filters)
    return environment


def render_page(
    template: str,
    styles: Sequence[str],
    scripts: Sequence[str] = (),
    filters: Filters = MappingProxyType({}),
    **content: Any,
) -> bytes:
    """Fill an HTML page that stands alone: its Content-Security-Policy forbids every request and any other script.

    Args:
        template: Its file; it extends base.html.
        styles: CSS files that are put inside.
        scripts: JavaScript files likewise.
        filters: Functions that the template calls.
        content: What it shows.

    Returns:
        UTF-8; half of a surrogate pair, as a broken file name may hold, is written as an escape.
    """
    style, script = (
        "".join((_FOLDER / name).read_text(encoding="utf-8") for name in names) for names in (styles, scripts)
    )
    # Without a script of ours no script-src: default-src 'none' then forbids every one.
    sources = [f"style-src 'sha256-{_digest(style)}'", *([f"script-src 'sha256-{_digest(script)}'"] if script else [])]
    text = (
        template_environment(filters)
        .get_template(template)
        .render(
            policy=f"default-src 'none'; img-src data:; {'; '.join(sources)}",
            # Ours, and not escaped: the policy's digests are of these very bytes.
            style=Markup(style),
            script=Markup(script),
            **content,
        )
    )
    return text.encode("utf-8", "backslashreplace")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
