"""Every code that our segmentations and reports use, each with where it was checked, or that it was not."""

from dataclasses import dataclass

from highdicom.sr.coding import CodedConcept

from fundusseg.sample import CUP, DISC, Eye, Region

PRIVATE = "99FUNDUSSEG"
"""Coding scheme of what no public one has, or not that we could check."""


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept.

    Attributes:
        value: Unique within its scheme.
        scheme: ``SCT`` (SNOMED CT), ``DCM``, ``UCUM`` or `PRIVATE`.
        meaning: For people.
        checked: Where it was seen with this meaning; empty where only a third party's list says it.
    """

    value: str
    scheme: str
    meaning: str
    checked: str = ""

    def concept(self) -> CodedConcept:
        """As it is written into an object."""
        return CodedConcept(self.value, self.scheme, self.meaning)


EYE = Code("81745001", "SCT", "Eye", "PS3.16 TID 2120")
OPTIC_DISC = Code("81016008", "SCT", "Optic disc", "PS3.16 CID 4209")
OPTIC_CUP = Code("OPTIC_CUP", PRIVATE, "Optic cup", "private")
ANATOMICAL_STRUCTURE = Code("91723000", "SCT", "Anatomical Structure", "PS3.16 CID 7150")
VERTICAL_RATIO = Code("363930007", "SCT", "Vertical cup/disc ratio")
HORIZONTAL_RATIO = Code("HORIZONTAL_CUP_DISC_RATIO", PRIVATE, "Horizontal cup/disc ratio", "private")
AREA_RATIO = Code("AREA_CUP_DISC_RATIO", PRIVATE, "Area cup/disc ratio", "private")
VERTICAL_RATIO_LOW = Code("VERTICAL_RATIO_LOW", PRIVATE, "Vertical cup/disc ratio, lower end of interval", "private")
VERTICAL_RATIO_HIGH = Code("VERTICAL_RATIO_HIGH", PRIVATE, "Vertical cup/disc ratio, upper end of interval", "private")
RATIO = Code("{ratio}", "UCUM", "ratio", "UCUM's curly braces are free text")
VERDICT = Code("VERDICT", PRIVATE, "Whether the measurement can be trusted", "private")
VERDICTS = {
    "accept": Code("ACCEPT", PRIVATE, "Accept", "private"),
    "review": Code("REVIEW", PRIVATE, "A person must look", "private"),
    "reject": Code("REJECT", PRIVATE, "Not measured", "private"),
}
REASON = Code("REASON", PRIVATE, "Reason of the verdict", "private")
PROCEDURE = Code("MEASUREMENT_OF_OPTIC_DISC", PRIVATE, "Measurement of optic disc in a fundus photograph", "private")

STRUCTURES: dict[Region, Code] = {DISC: OPTIC_DISC, CUP: OPTIC_CUP}
SIDES: dict[Eye, Code] = {
    "OD": Code("24028007", "SCT", "Right", "PS3.16 CID 244"),
    "OS": Code("7771000", "SCT", "Left", "PS3.16 CID 244"),
}
RATIOS: dict[str, Code] = {
    "vertical_cdr": VERTICAL_RATIO,
    "vertical_cdr_low": VERTICAL_RATIO_LOW,
    "vertical_cdr_high": VERTICAL_RATIO_HIGH,
    "horizontal_cdr": HORIZONTAL_RATIO,
    "area_cdr": AREA_RATIO,
}
"""Of a measure by its column in measures.csv."""
