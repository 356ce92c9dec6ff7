"""Names and dates for research that only the holder of a key can lead back: HMAC-SHA256 of the true ones.

Without the key a pseudonym cannot be guessed by trying all patient numbers, as a plain digest could.
"""

import base64
import hashlib
import hmac
from datetime import date, timedelta
from pathlib import Path

from fundusseg.errors import ConfigurationError

LEAST_KEY = 16
"""Bytes."""

MOST_DAYS = 365
"""By which a patient's dates are moved back at most."""


class Pseudonyms:
    """What stands for patients, pictures and dates under one key.

    Args:
        key: At least `LEAST_KEY` bytes that nobody can guess.

    Raises:
        ConfigurationError: It is shorter.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < LEAST_KEY:
            do = "make one by: openssl rand -hex 32 > key"
            raise ConfigurationError(f"a key of {len(key)} bytes", f"{LEAST_KEY} or more that nobody can guess", do)
        self._key = key

    @classmethod
    def from_file(cls, path: Path) -> "Pseudonyms":
        """Read the key, without blanks around it.

        Raises:
            ConfigurationError: It cannot be read, or is too short.
        """
        try:
            return cls(path.read_bytes().strip())
        except OSError as error:
            raise ConfigurationError(f"no key in {path} ({error.strerror})", "a file", "check --key_file") from error

    def patient(self, number: str) -> str:
        """12 letters and digits that stand for a patient's ID.

        >>> one = Pseudonyms(b"0123456789abcdef")
        >>> one.patient("P-1") == one.patient("P-1") != one.patient("P-2"), len(one.patient("P-1"))
        (True, 12)
        """
        return self._word("patient", number, 12)

    def picture(self, uid: str) -> str:
        """10 letters and digits that stand for a photograph's UID."""
        return self._word("picture", uid, 10)

    def day(self, patient: str, day: str) -> str:
        """A date moved back by 1 to `MOST_DAYS` days, as many for all dates of one patient: intervals stay true.

        Args:
            patient: The patient's ID.
            day: ``2024-05-31``; what is no date gives an empty text.
        """
        try:
            true = date.fromisoformat(day)
            return (true - timedelta(days=1 + self._number("days", patient) % MOST_DAYS)).isoformat()
        except (ValueError, OverflowError):
            return ""

    def _digest(self, what: str, value: str) -> bytes:
        return hmac.new(self._key, f"{what}\0{value}".encode(), hashlib.sha256).digest()

    def _word(self, what: str, value: str, length: int) -> str:
        return base64.b32encode(self._digest(what, value)).decode()[:length]

    def _number(self, what: str, value: str) -> int:
        return int.from_bytes(self._digest(what, value)[:8], "big")
