"""A site's own repeatability, from the table that tools/measure_repeatability.py writes."""

import math
from pathlib import Path

from fundusseg.errors import ConfigurationError
from fundusseg.imaging.csv_files import read_rows
from fundusseg.measures.repeatability import MEASURES, Repeatability


def read_repeatability(path: Path) -> Repeatability:
    """Read the columns ``measure`` and ``within_eye_sd``.

    Raises:
        ConfigurationError: It cannot be read, or a measure is missing or not above 0.
    """
    expected = f"a CSV file with measure and within_eye_sd of {', '.join(MEASURES[:5])} and rim_hour_1 to 12"
    do = "write it with tools/measure_repeatability.py"
    try:
        (_, heading), *rows = read_rows(path)
        cells = [dict(zip(heading, row, strict=False)) for _, row in rows]
        found = {row["measure"]: float(row["within_eye_sd"]) for row in cells}
    except (OSError, ValueError, KeyError) as error:
        raise ConfigurationError(f"{type(error).__name__} in the repeatability {path}", expected, do) from error
    for name in MEASURES:
        if not 0 < found.get(name, 0) < math.inf:
            raise ConfigurationError(f"{name} missing or not above 0 in {path}", expected, do)
    return Repeatability({name: found[name] for name in MEASURES}, str(path))
