"""Patient, eye and date from a photograph's name, by a pattern such as ``{patient}_{eye}_{date}``."""

import re
from pathlib import Path

from fundusseg.errors import ConfigurationError

_FIELDS = {
    "patient": r"(?P<patient>[^/]+?)",
    "eye": r"(?P<eye>(?i:od|os|right|left|r|l))",
    "date": r"(?P<date>[^/]+?)",
}
_ENDLESS = re.compile(r"(\*|\{date\})\{patient\}|\{patient\}(\*|\{date\})")
"""Where a patient's name has no end that can be seen: patients would be one by their first letter."""

_PART = re.compile(r"\{(\w*)\}|(\*)|([^{}*]+)|(.)")


class NamePattern:
    """A pattern of file names without their ending.

    Args:
        pattern: ``{patient}``, ``{eye}`` and ``{date}`` stand for what they say, ``*`` for anything within a name; with
            ``/`` the folders above count too.

    Raises:
        ConfigurationError: It names no patient, one that ends nowhere, a field twice, or an unknown one.

    >>> NamePattern("{patient}_{eye}_{date}*").read(Path("in/P_7_OD_2024-05-31 (2).jpg"))
    {'patient': 'P_7', 'eye': 'OD', 'date': '2024-05-31'}
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        parts, seen = [], []
        for name, star, text, other in _PART.findall(pattern):
            if text or star:
                parts.append(re.escape(text) if text else "[^/]*")
                continue
            if other or name not in _FIELDS or name in seen:
                raise self._error(f"{{{name}}} twice" if name in seen else repr(other or f"{{{name}}}"))
            seen.append(name)
            parts.append(_FIELDS[name])
        if "patient" not in seen:
            raise self._error("no {patient}")
        if _ENDLESS.search(pattern):
            raise self._error("{patient} with nothing between it and * or {date}")
        # Of a date all that is a date's: a star after it takes the rest.
        text = "".join(parts).replace(f"{_FIELDS['date']}[^/]*", r"(?P<date>[\d.-]*\d)[^/]*")
        self._form = re.compile(text)
        self._depth = pattern.count("/") + 1

    def _error(self, got: str) -> ConfigurationError:
        return ConfigurationError(
            f"{got} in the pattern {self.pattern!r}",
            "{patient}, and {eye}, {date}, * and other text where names hold them",
            "give --pattern '{patient}_{eye}_{date}'",
        )

    def read(self, path: Path) -> dict[str, str] | None:
        """What a photograph's name says; None where it does not fit."""
        name = "/".join((*path.parts[-self._depth : -1], path.stem))
        found = self._form.fullmatch(name)
        return found.groupdict() if found else None
