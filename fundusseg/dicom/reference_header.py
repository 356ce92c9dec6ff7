"""What objects about a photograph take from its header: which it is, patient and study; made lawful where it is not.

Archives hold birth dates of four digits, sexes in small letters and character sets that nobody has. What an object says
must be lawful all the same, and a wrong value is worse than none: what cannot be put right without a guess is left
empty, or out, and told by its name without its value.
"""

import re
from collections.abc import Iterator
from typing import Any

from pydicom import config
from pydicom.datadict import dictionary_VM, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pydicom.valuerep import validate_value

from fundusseg.dicom.dataset_files import Source, called, text
from fundusseg.dicom.header import header_of
from fundusseg.errors import ImageError

_UIDS = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_MAY_BE_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"),
    *("AccessionNumber", "ReferringPhysicianName", "PatientOrientation"),
)
"""Asked for in every object, with a value or without."""

_OPTIONAL = (
    *("IssuerOfPatientID", "OtherPatientIDsSequence", "PatientBirthTime", "PatientComments", "EthnicGroup"),
    *("PatientAge", "PatientSize", "PatientWeight", "StudyDescription", "IssuerOfAccessionNumberSequence"),
    *("ProcedureCodeSequence", "ReferencedStudySequence", "PhysiciansOfRecord", "NameOfPhysiciansReadingStudy"),
    *("AdmittingDiagnosesDescription", "AdmissionID", "ServiceEpisodeID", "Occupation", "AdditionalPatientHistory"),
    *("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "InstitutionName", "StationName"),
    *("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"),
)

_TRIAL = {
    "ClinicalTrialSponsorName": True,
    "ClinicalTrialProtocolID": True,
    "ClinicalTrialProtocolName": False,
    "ClinicalTrialSiteID": False,
    "ClinicalTrialSiteName": False,
    "ClinicalTrialSubjectID": True,
}
"""Of a clinical trial's subject: taken together or not at all; whether it must have a value."""

_VALUES = {"PatientSex": ("M", "F", "O")}

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


def reference_header(source: Dataset, photograph: Source) -> tuple[Dataset, tuple[str, ...]]:
    """Copy what objects need, each value lawful and in UTF-8.

    Args:
        source: The photograph's dataset.
        photograph: Its file, for the message.

    Returns:
        The header, and a sentence for each value that could not be taken as it is.

    Raises:
        ImageError: It is no photograph, or has no UIDs to refer to.
    """
    frames = header_of(source, photograph).frames
    made, remarks = Dataset(), []
    made.SpecificCharacterSet = "ISO_IR 192"
    for keyword in _UIDS:
        uid = str(source.get(keyword) or "")
        if not _UID.fullmatch(uid) or len(uid) > 64:
            raise ImageError(
                f"a photograph {'with' if uid else 'without'} {keyword}{f' {uid[:80]!r}' if uid else ''}: "
                f"{called(photograph)}",
                "one that can be referred to",
                "send it anew",
            )
        setattr(made, keyword, uid)
    made.SOPClassUID, made.NumberOfFrames = UID(text(source, "SOPClassUID")), frames
    made.Rows, made.Columns, made.Modality = source.Rows, source.Columns, str(source.get("Modality") or "OP")
    for keyword in (*_MAY_BE_EMPTY, *_OPTIONAL):
        if keyword not in source and keyword in _OPTIONAL:
            continue
        value = _lawful_value(source, keyword)
        if value is not None or keyword in _MAY_BE_EMPTY:
            setattr(made, keyword, value)
        if value is None and source.get(keyword) not in (None, "", []):
            remarks.append(f"{keyword} is not lawful, and {'empty' if keyword in _MAY_BE_EMPTY else 'left out'}")
    if any(keyword in source for keyword in _TRIAL):
        trial = {keyword: _lawful_value(source, keyword) for keyword in _TRIAL}
        if all(trial[keyword] for keyword, needed in _TRIAL.items() if needed):
            for keyword, value in trial.items():
                setattr(made, keyword, value)
        else:
            remarks.append("the clinical trial is not lawful, and left out")
    return made, tuple(f"in its DICOM objects {remark}" for remark in remarks)


def _lawful_value(source: Dataset, keyword: str) -> Any:
    """An element's value, mended where no guess is needed; None where there is none, or none that is lawful."""
    try:
        element = source.get(keyword)  # decodes it
        return _mended(source[keyword].value, keyword) if element is not None else None
    except Exception:  # whatever a damaged value raises in the parser, in its decoding or in the check
        return None


def _mended(value: Any, keyword: str) -> Any:
    """Raises where a value is not lawful."""
    vr = dictionary_VR(keyword)
    if vr == "SQ":
        return [_mended_item(item) for item in value] or None
    several = isinstance(value, list | tuple) or type(value).__name__ == "MultiValue"
    if isinstance(value, bytes):
        raise TypeError("bytes where text belongs")
    found = [_mended_text(str(one), vr, keyword) for one in (value if several else [value])]
    number = dictionary_VM(keyword)
    if found != [None] and number.isdecimal() and len(found) != int(number):
        raise ValueError(f"{len(found)} values where {number} belong")
    if several and None in found:
        raise ValueError("an empty value among several")  # which stands for something that nobody knows
    return found if several else found[0]


def _mended_text(value: str, vr: str, keyword: str) -> str | None:
    value = value.replace("\0", "").strip()
    if vr == "DA" and re.fullmatch(r"\d{4}([-./])\d\d\1\d\d", value):
        value = value[:4] + value[5:7] + value[8:]
    if vr == "TM":
        value = value.replace(":", "")
    if vr == "CS":
        value = value.upper()
    allowed = _VALUES.get(keyword)
    if value and allowed and value not in allowed:
        raise ValueError(f"none of {allowed}")
    if any(ord(letter) < 32 and not (vr in ("LT", "ST", "UT") and letter in "\t\n\f\r") for letter in value):
        raise ValueError("control characters")
    value.encode()  # raises of half a character
    validate_value(vr, value, config.RAISE)
    return value or None


def _mended_item(item: Dataset) -> Dataset:
    """An item of a sequence, all of whose elements must be lawful: without one of them it may mean another thing."""
    made = Dataset()
    for element in item:
        keyword = element.keyword
        if not keyword:  # private
            continue
        setattr(made, keyword, _mended(element.value, keyword) if element.value not in (None, "") else None)
    for needed in _needed(made):
        if not made.get(needed):
            raise ValueError(f"no {needed}")
    return made


def _needed(item: Dataset) -> Iterator[str]:
    """What an item must say beside what it says."""
    if "CodeMeaning" in item or "CodingSchemeDesignator" in item:
        yield from ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
    elif "PatientID" in item or "TypeOfPatientID" in item:
        yield from ("PatientID", "TypeOfPatientID")
    elif "UniversalEntityID" in item or "UniversalEntityIDType" in item:
        yield from ("UniversalEntityID", "UniversalEntityIDType")
    elif "LocalNamespaceEntityID" in item:
        yield "LocalNamespaceEntityID"
    else:
        yield from ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID")
