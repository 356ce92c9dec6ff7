"""The columns of eyes.csv, visits.csv and patients.csv, in the order of a reading centre's tables."""

from fundusseg.reports.data_dictionary import Column

_EYE = {"OD": "right eye", "OS": "left eye"}
_VERDICT = {"accept": "accept", "review": "a person should look", "reject": "no number"}
_SIZE = {"small": "below 1.50 mm high", "average": "1.50 to 2.00 mm", "large": "above 2.00 mm"}
_AREA = {"microdisc": "below 1.29 mm2", "usual": "1.29 to 4.09 mm2", "macrodisc": "above 4.09 mm2"}
_SCALE = {"given": "by the user", "nominal": "the camera's own claim, by DICOM"}
_YES = {"0": "no", "1": "yes"}
_CONVENTION = {
    "reached": "the whole interval is at 0.2 or beyond",
    "not_reached": "the whole interval is below 0.2",
    "uncertain": "0.2 lies in the interval",
}
_ERROR = "95 % interval from the within-eye standard deviation of repeated photographs"

RECORD = Column("record_id", "Identifies the row", "text", identifies=True)
PATIENT = Column("patient", "Patient, as table, file name or DICOM say it", "text", identifies=True)
EYE = Column("eye", "Eye", "category", choices=_EYE)

MEASURED = (
    Column("file", "Photograph that the numbers are of: the best of the visit", "text", identifies=True),
    Column("verdict", "How far to trust it", "category", choices=_VERDICT),
    Column("vertical_cdr", "Vertical cup/disc ratio, cup height over disc height, 0 to 1"),
    Column("vertical_cdr_low", "Lower end of the interval that holds the experts' ratio as often as the bundle says"),
    Column("vertical_cdr_high", "Upper end of it"),
    Column("horizontal_cdr", "Horizontal cup/disc ratio, 0 to 1"),
    Column("area_cdr", "Area cup/disc ratio, 0 to 1"),
    Column("rim_min_ratio", "Smallest rim/disc ratio, radial rim width over the disc's diameter on that axis"),
    Column("rim_min_clock_hour", "Clock hour of it; of both eyes 12 is superior, 3 nasal, 6 inferior, 9 temporal"),
    Column("rim_absent", "Circumference without rim", unit="degrees"),
    Column("isnt_kept", "Rim inferior >= superior >= nasal >= temporal", "category", choices=_YES),
    Column("disc_area", "Disc area, the cup included", unit="pixels"),
    Column("mm_per_pixel", "Scale of the photograph on the retina", unit="mm"),
    Column("scale", "Where the scale comes from", "category", choices=_SCALE),
    Column("disc_area_mm2", "Disc area", unit="mm2"),
    Column("disc_height_mm", "Vertical diameter of the disc", unit="mm"),
    Column("disc_size", "Size class of the Disc Damage Likelihood Scale", "category", choices=_SIZE),
    Column("disc_area_class", "Area class (Jonas 1999); a large disc has a large cup", "category", choices=_AREA),
    Column("ddls_stage", "Stage of the Disc Damage Likelihood Scale with its size correction, 1 to 10", "integer"),
)
"""Of one photograph."""

HOURS = tuple(
    Column(f"rim_hour_{hour}", f"Mean rim/disc ratio at {hour} o'clock, turned as the first visit is")
    for hour in range(1, 13)
)

MADE_BY = (
    Column("fundusseg_version", "Version that made the row", "text"),
    Column("checkpoint_sha256", "SHA-256 of the bundle or checkpoint", "text"),
)

REMARKS = Column("remarks", "What is missing or contradicts itself", "text")


def _with_interval(name: str, meaning: str, how: str = _ERROR, unit: str = "") -> tuple[Column, ...]:
    ends = (Column(f"{name}_{end}", f"{word} end of its {how}", unit=unit) for end, word in _ENDS.items())
    return Column(name, meaning, unit=unit), *ends


_ENDS = {"low": "Lower", "high": "Upper"}

VISITS = (
    *(RECORD, PATIENT, EYE),
    Column("visit", "Number of the eye's visit", "integer"),
    Column("visit_date", "Day of the visit", "date"),
    Column("years", "Since the eye's first measured visit of known date", unit="years"),
    Column("photographs", "Photographs of the visit", "integer"),
    Column("others", "Photographs that were not chosen, in measures.csv too", "text", identifies=True),
    *MEASURED,
    *HOURS,
    Column("alignment", "How the photograph lies on the first visit's", "text"),
    *(REMARKS, *MADE_BY),
)

EYES = (
    *(RECORD, PATIENT, EYE),
    Column("visits", "Visits of the eye", "integer"),
    Column("photographs", "Photographs of the eye", "integer"),
    Column("first_date", "Day of the first visit", "date"),
    Column("last_date", "Day of the last visit", "date"),
    *MEASURED,
    Column("years", "Between first and last measured visit", unit="years"),
    Column("changed", "Vertical ratio changed beyond measurement error", "category", choices=_YES),
    *_with_interval("change_per_year", "Theil-Sen slope of the vertical ratio", unit="1/year"),
    *_with_interval("change", "Change of the vertical ratio from first to last visit"),
    Column("change_said", "The change in one sentence", "text"),
    Column("thinner_hours", "Clock hours whose rim became thinner beyond measurement error", "text"),
    *(REMARKS, *MADE_BY),
)

_SIDES = {"right": "right eye", "left": "left eye"}

PATIENTS = (
    *(RECORD, PATIENT),
    Column("eyes", "Eyes that are measured", "integer"),
    *(Column(f"date_{side}", f"Day of the {word}'s photograph", "date") for side, word in _SIDES.items()),
    *(Column(f"vertical_cdr_{side}", f"Vertical cup/disc ratio, {word}") for side, word in _SIDES.items()),
    *_with_interval("vertical_cdr_asymmetry", "Vertical ratio, right less left"),
    Column("asymmetry_convention", "Asymmetry of 0.2, a clinical convention", "category", choices=_CONVENTION),
    *(Column(f"rim_min_ratio_{side}", f"Smallest rim/disc ratio, {word}") for side, word in _SIDES.items()),
    *_with_interval("rim_min_ratio_asymmetry", "Smallest rim/disc ratio, right less left"),
    *_with_interval("disc_area_ratio", "Disc area, right over left; without a scale of photographs of one size"),
    *(Column(f"disc_size_{s}", f"Disc size, {w}", "category", choices=_SIZE) for s, w in _SIDES.items()),
    *(
        Column(f"ddls_stage_{s}", f"Stage of the Disc Damage Likelihood Scale, {w}", "integer")
        for s, w in _SIDES.items()
    ),
    *(Column(f"changed_{s}", f"Vertical ratio changed, {w}", "category", choices=_YES) for s, w in _SIDES.items()),
    Column("days_apart", "Between the photographs of the two eyes", "integer", unit="days"),
    Column("asymmetry_said", "The asymmetry in one sentence", "text"),
    *(REMARKS, *MADE_BY),
)
