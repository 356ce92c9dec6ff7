"""Dates as tables, file names and DICOM write them."""

import re
from datetime import date

_FORMS = (
    re.compile(r"(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})"),
    re.compile(r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})"),
    re.compile(r"(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4})"),
)
"""Year first in any writing; day first with full stops alone, as no country writes the month first with those."""

DATE_WORDS = "2024-05-31, 20240531, 2024/05/31 or 31.05.2024"

DAYS_PER_YEAR = 365.25


def read_date(text: str) -> date | None:
    """The date that a text says; None where it says none, or none that is sure (03/04/2020 is two dates).

    >>> read_date("2024-05-31"), read_date("31.5.2024 10:30"), read_date("03/04/2020")
    (datetime.date(2024, 5, 31), datetime.date(2024, 5, 31), None)
    """
    day = text.strip().replace("T", " ").split(" ")[0]
    for form in _FORMS:
        if found := form.fullmatch(day):
            try:
                return date(int(found["y"]), int(found["m"]), int(found["d"]))
            except ValueError:
                return None
    return None
