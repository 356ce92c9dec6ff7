"""What a DICOM file says of a photograph: eye, patient, date, device, frames, and what in it contradicts itself."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from fundusseg.dicom.dataset_files import Source, called, opened, text, texts
from fundusseg.dicom.sop_classes import PHOTOGRAPHS, class_name
from fundusseg.errors import ImageError
from fundusseg.sample import Eye

MOST_FRAMES = 1000
"""More is a film, or a damaged number."""

_SIDES: dict[str, Eye] = {"R": "OD", "L": "OS"}

_SIDE_CODES: dict[str, Eye] = {
    **dict.fromkeys(("24028007", "G-A100", "18944008"), "OD"),
    **dict.fromkeys(("7771000", "G-A101", "8966001"), "OS"),
}
"""SNOMED codes, of today and of older files (SRT), for right and left, and for right eye and left eye."""


@dataclass(frozen=True, slots=True)
class PhotographHeader:
    """What is known of a DICOM photograph before its pixels are decoded.

    Attributes:
        uid: Its SOP instance UID, by which the world knows it.
        sop_class: Its class, in words.
        width: Pixels of each frame, as the file claims.
        height: Likewise.
        frames: Number of frames.
        stereo: Frames are pairs, the odd ones (counted from 1) the left view and the even ones the right.
        eye: Right (OD) or left (OS); None where the tags do not say it, say both, or contradict one another.
        patient: Patient ID; empty where there is none.
        issuer: Who gave that ID; another's patient of the same ID is another person. Empty where nothing says it.
        date: When the photograph was taken, or else its study, as ``2024-05-31``; empty where nothing says it.
        device: Manufacturer and model.
        nominal_spacing: Millimetres on the retina from one pixel's centre to the next, row and column, as the camera
            claims: nominal, as it knows nothing of this eye's length. None where it does not say it.
        burned_in: What BurnedInAnnotation says of text in the picture, in capitals: ``YES``, ``NO`` or nothing; or
            something else, which says neither.
        remarks: What a person should know: contradicting laterality, text burned into the picture, lossy compression
            after the camera, a mirrored or non-square picture.
    """

    uid: str
    sop_class: str
    width: int
    height: int
    frames: int
    stereo: bool
    eye: Eye | None
    patient: str
    issuer: str
    date: str
    device: str
    nominal_spacing: tuple[float, float] | None
    burned_in: str
    remarks: tuple[str, ...]

    def frame_name(self, frame: int) -> str:
        """What tells a frame, counted from 0, from the others of its file: ``""`` where it is the only one.

        The view of a stereo pair is not the eye, which is the same for both.
        """
        if self.frames == 1:
            return ""
        return f"_frame{frame + 1}" + (f"_stereo_{'right' if frame % 2 else 'left'}" if self.stereo else "")


def read_header(source: Source) -> PhotographHeader:
    """Read the header of a photograph's file, or of its content.

    Raises:
        ImageError: There is no such file, it cannot be read, or it is no fundus photograph but, by name, something
            else: a wide-field photograph, an OCT, a report.
    """
    with opened(source) as (_, dataset):
        return header_of(dataset, source)


def header_of(dataset: Dataset, source: Source) -> PhotographHeader:
    """The header of a dataset that is read already; ``source`` is for the message."""
    check_class(dataset, source)
    eye, contradiction = _eye(dataset)
    return PhotographHeader(
        uid=text(dataset, "SOPInstanceUID"),
        sop_class=PHOTOGRAPHS[text(dataset, "SOPClassUID")],
        width=int(dataset.get("Columns") or 0),
        height=int(dataset.get("Rows") or 0),
        frames=_frames(dataset, source),
        stereo=text(dataset, "StereoPairsPresent").upper() == "YES",
        eye=eye,
        patient="\\".join(texts(dataset, "PatientID")),
        issuer="\\".join(texts(dataset, "IssuerOfPatientID")),
        date=_date(dataset),
        device=" ".join(filter(None, (text(dataset, "Manufacturer"), text(dataset, "ManufacturerModelName")))),
        nominal_spacing=_spacing(dataset),
        burned_in=_burned_in(dataset),
        remarks=tuple(filter(None, (contradiction, *_remarks(dataset)))),
    )


def check_class(dataset: Dataset, source: Source) -> None:
    """Refuse what is no fundus photograph, by name.

    Raises:
        ImageError: It is something else.
    """
    uid = text(dataset, "SOPClassUID")
    if uid not in PHOTOGRAPHS:
        raise ImageError(
            f"a DICOM {class_name(uid)}: {called(source)}",
            f"a fundus photograph: {', '.join(PHOTOGRAPHS.values())}",
            "leave it out, or export the photograph itself from its archive",
        )


def _frames(dataset: Dataset, source: Source) -> int:
    number = text(dataset, "NumberOfFrames") or "1"
    if not number.isdecimal() or not 1 <= int(number) <= MOST_FRAMES:
        expected = f"1 to {MOST_FRAMES} photographs in a file"
        raise ImageError(f"{number[:20]} frames in {called(source)}", expected, "export them one by one")
    return int(number)


def _eye(dataset: Dataset) -> tuple[Eye | None, str]:
    """The eye, and a sentence where the tags contradict one another."""
    said: dict[str, Eye] = {}
    for keyword in ("ImageLaterality", "Laterality"):
        values = "\\".join(texts(dataset, keyword)).upper()
        if keyword == "ImageLaterality" and ("B" in values or {"R", "L"} <= set(values)):
            return None, f"both eyes in one picture (ImageLaterality {values})"
        if values in _SIDES:  # one value, of one eye; several of a series are its pictures'
            said[f"{keyword} {values}"] = _SIDES[values]
    for keyword, code in _coded_sides(dataset):
        if code in _SIDE_CODES:
            said[f"{keyword} {code}"] = _SIDE_CODES[code]
    eyes = set(said.values())
    if len(eyes) > 1:
        return None, "laterality contradicts itself: " + ", ".join(f"{how} is {eye}" for how, eye in said.items())
    return (eyes.pop() if eyes else None), ""


def _coded_sides(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Codes of anatomic regions and of their modifiers, each with the sequence that it stands in."""
    for keyword in ("AnatomicRegionSequence", "PrimaryAnatomicStructureSequence"):
        for region in _items(dataset, keyword):
            yield keyword, text(region, "CodeValue")
            for modifier in ("AnatomicRegionModifierSequence", "PrimaryAnatomicStructureModifierSequence"):
                for item in _items(region, modifier):
                    yield modifier, text(item, "CodeValue")


def _items(dataset: Dataset, keyword: str) -> Iterator[Dataset]:
    """A sequence's items; none of what is no sequence, which is no reason to refuse the pixels."""
    value = dataset.get(keyword)
    if isinstance(value, Sequence):
        yield from value


def _date(dataset: Dataset) -> str:
    for keyword in ("AcquisitionDateTime", "AcquisitionDate", "ContentDate", "StudyDate", "SeriesDate"):
        digits = text(dataset, keyword).replace(".", "").replace("-", "")[:8]
        if len(digits) == 8 and digits.isdecimal():
            return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"
    return ""


def _spacing(dataset: Dataset) -> tuple[float, float] | None:
    """PixelSpacing, rows and columns; of a secondary capture NominalScannedPixelSpacing is the scanner's, not this."""
    try:
        row, column = (float(value) for value in dataset.get("PixelSpacing") or ())
    except (TypeError, ValueError):
        return None
    return (row, column) if 0 < row < 1 and 0 < column < 1 else None


def _burned_in(dataset: Dataset) -> str:
    return "\\".join(texts(dataset, "BurnedInAnnotation")).upper()


def _remarks(dataset: Dataset) -> Iterator[str]:
    burned = _burned_in(dataset)
    if burned == "YES":
        yield "text is burned into the picture (BurnedInAnnotation YES)"
    elif burned not in ("", "NO"):
        yield f"text may be burned into the picture (BurnedInAnnotation {burned})"
    ratio = text(dataset, "LossyImageCompressionRatio")
    if text(dataset, "LossyImageCompression") == "01" and ratio:
        yield f"lossy compression, {ratio} to 1"
    if text(dataset, "PatientOrientation").upper().startswith("R"):
        yield "mirrored: its rows run to the patient's right (PatientOrientation R)"
    aspect = texts(dataset, "PixelAspectRatio")
    if len(aspect) == 2 and aspect[0] != aspect[1]:
        yield f"pixels that are not square (PixelAspectRatio {aspect[0]} to {aspect[1]})"
