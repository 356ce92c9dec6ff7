"""Settings of a reader that take one of a few values."""

from collections.abc import Iterable

from fundusseg.errors import ConfigurationError


def check_choice(reader: str, setting: str, value: str | None, choices: Iterable[str]) -> None:
    """Refuse a value that is none of the choices; None is left to mean all.

    Raises:
        ConfigurationError: It is another.
    """
    known = list(choices)
    if value is not None and value not in known:
        raise ConfigurationError(
            f"{setting}={value!r} for {reader}", f"one of {', '.join(known)}", "choose one of these, or leave it out"
        )
