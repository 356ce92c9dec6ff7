"""Take photographs out of DICOM for research: pictures and a table, without anything that leads to a person.

    openssl rand -hex 32 > key
    python -m fundusseg.deidentify ARCHIVE --key_file key --output research --columns eye date

Writes images/PATIENT_PICTURE.png (the pixels alone) and photographs.csv with the columns image and patient, and of
eye, date, device and nominal_mm_per_pixel those that --columns asks for: nothing else of a file leaves. The folder is
read by `fundusseg.datasets.Folder` with csv: photographs.csv.

Names are keyed pseudonyms (HMAC-SHA256), the same for the same key; a patient is known by ID and issuer of the ID. A
patient's dates are moved back by the same 1 to 365 days. Keep the key apart from the output: it leads back.

A photograph is refused, and said, where BurnedInAnnotation says anything but NO, where a secondary capture does not say
NO, or where something is written beside the field of view. --areas, a CSV file with the columns device, left, top,
right, bottom (shares of the picture), names what is blacked out for a device: its photographs are taken where something
was written in an area, and nothing is left beside the field. What is written within the field is not found: look at the
pictures before you give them away.
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fundusseg.atomic_file import file_digest, make_folder, write_whole
from fundusseg.cli import Parser, console, run
from fundusseg.errors import ConfigurationError, FundusSegError, ImageError
from fundusseg.imaging.burned_in_text import Area, blacked_out, is_written_on, writing_beside_field
from fundusseg.imaging.csv_files import read_rows
from fundusseg.imaging.dicom_files import is_installed, photograph_header
from fundusseg.imaging.image_files import read_photograph, write_png
from fundusseg.inference.photograph_list import Photograph, PhotographList, count_passed_over, find_photographs
from fundusseg.sample import Image

if TYPE_CHECKING:
    from fundusseg.dicom.header import PhotographHeader
    from fundusseg.dicom.pseudonyms import Pseudonyms

TABLE = "photographs.csv"
COLUMNS = ("eye", "date", "device", "nominal_mm_per_pixel")
"""What may be asked for beside image and patient."""


def parser() -> Parser:
    """The command's arguments."""
    parser = Parser(prog="fundusseg deidentify", description=__doc__)
    parser.add_argument("photographs", nargs="+", type=str, help="DICOM files, folders, DICOMDIRs, lists; as predict.")
    parser.add_argument("--key_file", required=True, type=str, help="File that holds the key, 16 bytes or more.")
    parser.add_argument("--output", default="research", type=str, help="Folder for pictures and table; empty or new.")
    parser.add_argument("--columns", default=[], nargs="+", type=str, help=f"Of {', '.join(COLUMNS)}.")
    parser.add_argument("--areas", default=None, type=str | None, help="CSV file of what is blacked out by device.")
    return parser


def main(arguments: list[str]) -> int:
    """De-identify; returns the exit code: 0, or 1 where a photograph was refused."""
    settings = parser().parse_args(arguments)
    if not is_installed():
        raise ConfigurationError("deidentify without the extra dicom", "it", "pip install 'fundusseg[dicom]'")
    from fundusseg.dicom.pseudonyms import Pseudonyms

    if unknown := sorted(set(settings.columns) - set(COLUMNS)):
        raise ConfigurationError(f"column {unknown[0]!r}", f"some of {', '.join(COLUMNS)}", "correct --columns")
    pseudonyms = Pseudonyms.from_file(Path(settings.key_file))
    areas = read_areas(Path(settings.areas)) if settings.areas else {}
    output = make_folder(Path(settings.output), "pictures and table", "--output")
    if any(output.iterdir()):
        raise ConfigurationError(f"a folder that is not empty: {output}", "a new one", "give another --output")
    listed = list_photographs(settings.photographs, output)
    rows: dict[str, dict[str, str]] = {}
    shown: dict[str, bytes] = {}
    refused = 0
    for photograph in listed.photographs:
        try:
            name, row, pixels = deidentified(photograph, pseudonyms, areas)
            _check_other(shown, name, pixels, photograph)
        except FundusSegError as error:
            refused += 1
            console.print(f"refused: {error}", style="red", soft_wrap=True, markup=False)
            continue
        write_png(output / "images" / f"{name}.png", pixels)
        rows[name] = {"image": f"{name}.png", "patient": row["patient"]} | {key: row[key] for key in settings.columns}
    write_whole(output / TABLE, table(rows.values(), ("image", "patient", *settings.columns)))
    others = f"; passed over: {count_passed_over(listed.passed_over)}" if listed.passed_over else ""
    twice = len(listed.photographs) - refused - len(rows)
    console.print(
        f"{len(rows)} photographs in {output}, {refused} refused, {twice} given twice{others}",
        soft_wrap=True,
        markup=False,
    )
    return 1 if refused else 0


def list_photographs(arguments: Sequence[str], output: Path) -> PhotographList:
    """What a command line names, each frame once; files of one name in several folders are several photographs.

    Raises:
        ImageError: An argument names nothing.
        ConfigurationError: A list cannot be read.
    """
    photographs: dict[tuple[Path, int], Photograph] = {}
    passed_over: dict[Path, str] = {}
    for argument in arguments:
        listed = find_photographs([argument], output)
        for photograph in listed.photographs:
            photographs.setdefault((photograph.path.absolute(), photograph.page), photograph)
        passed_over |= listed.passed_over
    given = {path for path, _ in photographs}
    others = {path: why for path, why in passed_over.items() if path.absolute() not in given}
    return PhotographList(list(photographs.values()), others)


def _check_other(shown: dict[str, bytes], name: str, pixels: Image, photograph: Photograph) -> None:
    """Refuse a picture that would overwrite another one: two that say that they are the same, and are not."""
    digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()
    if shown.setdefault(name, digest) != digest:
        raise ImageError(
            f"another picture under a UID that came before: {photograph.path}",
            "one picture of one UID",
            "de-identify it by itself, into another --output",
        )


def deidentified(
    photograph: Photograph, pseudonyms: "Pseudonyms", areas: Mapping[str, Sequence[Area]]
) -> tuple[str, dict[str, str], Image]:
    """One photograph's name, its row of every column, and its pixels.

    Raises:
        ImageError: It is no DICOM photograph, cannot be read, or may show writing.
    """
    header = photograph_header(photograph.path)
    if header is None:
        raise ImageError(f"a picture that is no DICOM file: {photograph.path}", "DICOM", "leave it out")
    known = areas.get(header.device.casefold(), ())
    taken = read_photograph(photograph.path, photograph.page)
    pixels = blacked_out(taken, known)
    covered = any(is_written_on(taken, area) for area in known)
    if why := _writing(header, covered, writing_beside_field(pixels, known)):
        do = f"black it out by a line for the device {header.device!r} in --areas, or leave it out"
        raise ImageError(f"{why}: {photograph.path}", "a photograph without writing", do)
    # A file without a UID is known by its bytes: two of them must not share a name, and one overwrite the other.
    uid = header.uid or file_digest(photograph.path)
    # Without a patient's ID each picture is a patient of its own. Another issuer's ID is another patient's.
    patient = (f"{header.issuer}\0{header.patient}" if header.issuer else header.patient) if header.patient else uid
    name = pseudonyms.patient(patient)
    frame = header.frame_name(photograph.page)
    spacing = header.nominal_spacing
    row = {
        "patient": name,
        "eye": header.eye or "",
        "date": pseudonyms.day(patient, header.date),
        "device": header.device,
        "nominal_mm_per_pixel": f"{spacing[0]:g}" if spacing else "",
    }
    return f"{name}_{pseudonyms.picture(uid)}{frame}", row, pixels


def _writing(header: "PhotographHeader", covered: bool, marks: int) -> str:
    """Why a photograph may show writing; empty where nothing says so.

    Args:
        header: Of the photograph.
        covered: Whether something was written in its device's areas: else what the header speaks of stands elsewhere.
        marks: Pixels of writing beside the field, once the areas are blacked out.
    """
    if header.burned_in not in ("", "NO") and not covered:
        return f"text that is burned in (BurnedInAnnotation {header.burned_in})"
    if "Secondary Capture" in header.sop_class and header.burned_in != "NO" and not covered:
        return "a secondary capture that does not say that it is free of text"
    if marks > 0:
        return f"{marks} pixels of writing beside the field of view"
    return ""


def read_areas(path: Path) -> dict[str, list[Area]]:
    """What is blacked out, by device as `photographs.csv` names it, letter case ignored.

    Raises:
        ConfigurationError: It cannot be read, or lacks a column or a number.
    """
    names = ("device", "left", "top", "right", "bottom")
    try:
        (_, heading), *rows = read_rows(path)
        places = [heading.index(name) for name in names]
        areas: dict[str, list[Area]] = {}
        for _, row in rows:
            device, *sides = (row[place] for place in places)
            areas.setdefault(device.casefold(), []).append(Area(*map(float, sides)))
    except (OSError, ValueError, IndexError) as error:
        raise ConfigurationError(
            f"areas that cannot be read ({error}): {path}", f"a CSV file with {', '.join(names)}", "mend it"
        ) from error
    return areas


def table(rows: Iterable[Mapping[str, str]], columns: Sequence[str]) -> bytes:
    """The rows as a CSV file's content, in the order of the pictures' names, which tells nothing."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(rows, key=lambda row: row["image"]))
    return stream.getvalue().encode()


if __name__ == "__main__":
    run(main)
