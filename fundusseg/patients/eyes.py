"""Photographs put together: an eye's visits, a patient's eyes; what fits nowhere is told, and nothing is lost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from fundusseg.inference.run_journal import JournalEntry
from fundusseg.patients.dates import DATE_WORDS, DAYS_PER_YEAR, read_date
from fundusseg.patients.identity import Identities, Identity
from fundusseg.sample import Eye

EYES: dict[Eye, str] = {"OD": "right", "OS": "left"}

_VERDICTS = ("accept", "", "review", "reject")


@dataclass(frozen=True, eq=False, slots=True)
class EyePhotograph:
    """One photograph of a known patient.

    Attributes:
        entry: Of the journal, with its row of measures.csv.
        patient: Whose.
        day: When; None where nobody knows.
        remarks: What is to be said of it.
    """

    entry: JournalEntry
    patient: str
    day: date | None
    remarks: tuple[str, ...] = ()

    @property
    def row(self) -> dict[str, Any]:
        """Its row of measures.csv."""
        return self.entry.row

    @property
    def measured(self) -> bool:
        """Whether it has a vertical ratio."""
        return self.row.get("vertical_cdr") is not None

    @property
    def _rank(self) -> tuple[Any, ...]:
        """Best first: measured, by verdict, the risk of a wrong outline, the views' spread; then by name."""
        row = self.row
        verdict = _VERDICTS.index(row.get("verdict") or "")
        risk, spread = (1.0 if row.get(name) is None else row[name] for name in ("failure_risk", "spread"))
        return not self.measured, verdict, risk, spread, self.entry.name


@dataclass(frozen=True, eq=False, slots=True)
class Visit:
    """One eye on one day.

    Attributes:
        day: None where it is not known.
        photographs: All of them, the best first.
    """

    day: date | None
    photographs: tuple[EyePhotograph, ...]

    @property
    def best(self) -> EyePhotograph:
        """The photograph that counts."""
        return self.photographs[0]


@dataclass(frozen=True, eq=False, slots=True)
class PatientEye:
    """One eye.

    Attributes:
        patient: Whose.
        eye: OD or OS.
        visits: By date, the one of unknown date last.
    """

    patient: str
    eye: Eye
    visits: tuple[Visit, ...]

    @property
    def measured(self) -> list[Visit]:
        """Visits that have a vertical ratio."""
        return [visit for visit in self.visits if visit.best.measured]

    @property
    def dated(self) -> list[Visit]:
        """Measured visits of known dates, of which a change can be told."""
        return [visit for visit in self.measured if visit.day]

    @property
    def latest(self) -> Visit | None:
        """The last measured visit, one without a date only where no other is."""
        visits = self.dated or self.measured
        return visits[-1] if visits else None

    def years(self) -> list[float]:
        """Of each dated visit, since the first."""
        days = [visit.day for visit in self.dated if visit.day]
        return [(day - days[0]).days / DAYS_PER_YEAR for day in days]

    @property
    def remarks(self) -> list[str]:
        """What is to be said of its photographs, and of the eye."""
        said = [remark for visit in self.visits for one in visit.photographs for remark in one.remarks]
        return said if self.measured else [*said, "no photograph of this eye could be measured"]


@dataclass(frozen=True, eq=False, slots=True)
class Patient:
    """One patient.

    Attributes:
        name: As table, pattern or DICOM say it.
        eyes: OD, OS or both.
        remarks: What is to be said beyond the eyes.
    """

    name: str
    eyes: dict[Eye, PatientEye] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def group_patients(entries: Iterable[JournalEntry], identities: Identities) -> tuple[list[Patient], list[str]]:
    """Patients in order of appearance, and a sentence for each photograph of nobody and each line of nothing.

    Args:
        entries: All photographs of a run.
        identities: What is said of them.
    """
    found: dict[str, list[EyePhotograph]] = {}
    unassigned = list(identities.remarks)
    for entry in entries:
        photograph = _identified(entry, identities.by_name.get(entry.name, Identity()))
        if photograph.patient:
            found.setdefault(photograph.patient, []).append(photograph)
        else:
            said = "; ".join(photograph.remarks) or entry.row["file"]
            unassigned.append(f"{said}: no patient is known")
    return [_patient(name, photographs) for name, photographs in found.items()], unassigned


def _identified(entry: JournalEntry, identity: Identity) -> EyePhotograph:
    """A photograph with its patient and date: the table's or pattern's word comes before the DICOM file's."""
    row, file = entry.row, entry.row["file"]
    remarks = list(identity.remarks)
    tagged = str(row.get("patient") or "")
    if identity.patient and tagged and identity.patient != tagged:
        remarks.append(f"{file}: of patient {identity.patient} as given, but {tagged} by the DICOM file")
    # Two patients for one file are none, whatever its tags say.
    patient = identity.patient or ("" if "patient" in identity.contradicted else tagged)
    written = identity.date or str(row.get("date") or "")
    day = read_date(written)
    if written and day is None:
        remarks.append(f"{file}: the date {written!r} cannot be read (expected {DATE_WORDS})")
    if row.get("error"):
        remarks.append(f"{file}: {row['error']}")
    elif row.get("vertical_cdr") is None:
        remarks.append(f"{file}: not measured ({row.get('reasons') or row.get('reason') or 'no disc'})")
    return EyePhotograph(entry, patient, day, tuple(remarks))


def _patient(name: str, photographs: Sequence[EyePhotograph]) -> Patient:
    eyes: dict[Eye, PatientEye] = {}
    remarks = []
    for eye in EYES:
        own = [one for one in photographs if (one.row.get("eye") or one.entry.eye) == eye]
        if own:
            eyes[eye] = PatientEye(name, eye, _visits(own))
    for eye, word in EYES.items():
        if eye not in eyes:
            remarks.append(f"no photograph of the {word} eye")
    for one in photographs:
        if (one.row.get("eye") or one.entry.eye) not in EYES:
            remarks += [*one.remarks, f"{one.row['file']}: the eye is not known, so that it counts for none"]
    return Patient(name, eyes, (*remarks, *_swapped(eyes)))


def _visits(photographs: Sequence[EyePhotograph]) -> tuple[Visit, ...]:
    days: dict[date | None, list[EyePhotograph]] = {}
    for photograph in photographs:
        days.setdefault(photograph.day, []).append(photograph)
    ordered = sorted(days, key=lambda day: day or date.max)
    return tuple(Visit(day, tuple(sorted(days[day], key=lambda one: one._rank))) for day in ordered)


def _swapped(eyes: dict[Eye, PatientEye]) -> list[str]:
    """Photographs that show the other eye than they are said to; on both sides of a day they are swapped."""
    wrong = [
        (visit.day, eye, one.row)
        for eye, own in eyes.items()
        for visit in own.visits
        for one in visit.photographs
        if one.row.get("eye_seen") and one.row["eye_seen"] != eye
    ]
    sides: dict[date | None, set[Eye]] = {}
    for day, eye, _ in wrong:
        sides.setdefault(day, set()).add(eye)
    said = [f"right and left seem swapped{_on(day)}" for day, both in sides.items() if len(both) > 1]
    return said + [
        f"{row['file']}: said to be the {EYES[eye]} eye, but the picture shows the {EYES[row['eye_seen']]} one"
        for _, eye, row in wrong
    ]


def _on(day: date | None) -> str:
    return f" on {day}" if day else ""
