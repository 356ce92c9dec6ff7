"""What an evaluation found: figures, sentences, and the files that say so."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from fundusseg.data.seen_patients import MARKS
from fundusseg.evaluation.estimates import ALL, MACRO, Figure, figures
from fundusseg.evaluation.interobserver import NESTED_NOTE, PROTOCOL, SENTENCE, Standing, is_nested, standings
from fundusseg.evaluation.model_comparison import Contrast, contrasts
from fundusseg.evaluation.protocols import Protocol
from fundusseg.evaluation.scoring import MODEL, OTHER, Row, Scored
from fundusseg.evaluation.tables import NOTES, brief, full, grid
from fundusseg.evaluation.worst_cases import Worst
from fundusseg.inference.predictor import Predictor
from fundusseg.measures.calibration_error import Reliability
from fundusseg.reports.files import write_csv, write_json, write_text
from fundusseg.reports.model_card import card
from fundusseg.sample import Region

UNSEEN = (
    "By source, patient and file no picture is of a patient that a network was trained or chosen on; the same "
    "photograph cropped, saved or outlined anew for another source would not be recognised."
)


class Findings:
    """All that is told of scored pictures.

    Args:
        scored: The pictures.
        methods: The networks that were scored.
        protocols: How.
        made_by: Files and versions, in plain types.
    """

    def __init__(
        self,
        scored: Sequence[Scored],
        methods: Mapping[str, Predictor],
        protocols: Sequence[Protocol],
        made_by: Mapping[str, Any],
    ) -> None:
        self.methods, self.made_by = methods, dict(made_by)
        self.names = [protocol.name for protocol in protocols]
        self.rows: list[Row] = [row for one in scored for row in one.rows]
        self.calibration = [pixels for one in scored for pixels in one.calibration]
        self.pictures = len(scored)
        self.failures = {f"{row['source']}/{row['name']}": str(row["error"]) for row in self.rows if row["error"]}
        self.protocols = _sentences(methods, protocols, self.rows)

    @property
    def title(self) -> str:
        """What was evaluated."""
        return f"Evaluation of {str(self.made_by[MODEL]).split(',')[0]}"

    @cached_property
    def figures(self) -> list[Figure]:
        """Of every protocol and method."""
        return figures(self.rows, self.calibration)

    @cached_property
    def contrasts(self) -> list[Contrast]:
        """The model against the other, where there is one."""
        if OTHER not in self.methods:
            return []
        ours, theirs = (self.methods[m].description.preparation.regions for m in (MODEL, OTHER))
        return contrasts(self.rows, [region for region in ours if region in theirs], MODEL, OTHER)

    @cached_property
    def standings(self) -> list[Standing]:
        """The model beside each second expert."""
        sides: dict[bool, list[Row]] = {True: [], False: []}
        for row in self.rows:
            if row["protocol"] == PROTOCOL:
                sides[str(row["method"]).startswith(MODEL)].append(row)
        return standings(sides[True], sides[False])

    @cached_property
    def remarks(self) -> list[str]:
        """What a reader must know beside the figures."""
        first = [row for row in self.rows if (row["protocol"], row["method"]) == (self.names[0], MODEL)]
        good = [row for row in first if not row["error"]]
        marks = Counter((row["source"], MARKS[row["seen"]]) for row in good if MARKS[row["seen"]])
        said = [f"{source}: {mark} ({count} pictures)." for (source, mark), count in marks.items()]
        said += [] if any(row["seen"] in ("patient", "unknown") for row in good) else [UNSEEN]
        for source in dict.fromkeys(figure.source for figure in self.figures if figure.metric.endswith("_auc")):
            if source not in (ALL, MACRO):
                told = [row["diagnosis"] for row in good if row["source"] == source]
                ill, well = told.count("glaucoma"), told.count("healthy")
                said.append(f"{source}: areas under the curve from {ill} pictures with glaucoma and {well} without.")
        for source, count in Counter(row["source"] for row in good if not row["labelled"]).items():
            said.append(f"{source}: {count} pictures without truth: measures only, in images.csv.")
        for name in self.names[1:]:
            scored = sum((row["protocol"], row["method"]) == (name, MODEL) for row in self.rows)
            if scored < len(first):
                said.append(f"{name}: {len(first) - scored} pictures without a labelled disc left out.")
        verdicts = Counter(row["verdict"] for row in good)
        if verdicts["reject"] or verdicts["review"]:
            said.append(
                f"{self.names[0]}: {verdicts['reject']} of {len(good)} photographs would be rejected and "
                f"{verdicts['review']} be put aside for review in use; all of them count."
            )
        if is_nested(row for row in self.rows if row["protocol"] == PROTOCOL):
            said.append(f"Methods called level: {NESTED_NOTE}.")
        return said

    def write(self, folder: Path, worst: Worst) -> None:
        """Write everything, in place of what an evaluation before left there; the same findings give the same bytes."""
        listed = worst.write(folder / "worst")
        write_csv(self.rows, folder / "images.csv")
        write_csv([asdict(figure) for figure in self.figures], folder / "figures.csv")
        content = {**self.made_by, "protocols": self.protocols, "remarks": self.remarks, "failures": self.failures}
        write_json({**content, "figures": self.figures}, folder / "figures.json")
        write_csv(_reliability(self.rows, self.calibration), folder / "reliability.csv")
        (folder / "differences.csv").unlink(missing_ok=True)
        if self.contrasts:
            write_csv([contrast.row() for contrast in self.contrasts], folder / "differences.csv")
        write_text(self._markdown(listed), folder / "table.md")
        write_text(self._card(), folder / "model_card.md")

    def _markdown(self, worst: Sequence[Mapping[str, Any]]) -> str:
        """table.md."""
        made_by = [f"- {key}: {value}" for key, value in self.made_by.items()]
        parts = [f"# {self.title}", "\n".join(made_by)]
        parts.append("\n".join(f"- {sentence}" for sentence in (*self.protocols.values(), *self.remarks)))
        parts += ["## In short", brief(self.figures), NOTES] if self.figures else []
        if self.failures:
            failed = [[name, reason] for name, reason in self.failures.items()]
            parts += ["## Not scored", grid(["picture", "reason"], failed)]
        if self.contrasts:
            parts += ["## Against the other model", "\n".join(f"- {one.sentence}" for one in self.contrasts)]
        if self.standings:
            parts += ["## Beside a second expert", "\n".join(f"- {one.sentence}" for one in self.standings)]
        if worst:
            cases = [
                [*(str(row[key]) for key in ("protocol", "source", "name")), f"{row['dice']:.3f}"] for row in worst
            ]
            linked = [[*case, f"[picture](worst/{row['file']})"] for case, row in zip(cases, worst, strict=True)]
            parts += ["## Worst cases", grid(["protocol", "source", "name", "Dice of the first region", ""], linked)]
        parts += [full(self.figures)] if self.figures else []
        return "\n\n".join(parts) + "\n"

    def _card(self) -> str:
        """The model card with these scores."""
        networks = {name: network.description for name, network in self.methods[MODEL].bundle.networks.items()}
        scores = [asdict(figure) for figure in self.figures if figure.method == MODEL]
        return card(
            str(self.made_by[MODEL]).split(",")[0], networks, scores, list(self.protocols.values()), self.remarks
        )


def _sentences(methods: Mapping[str, Predictor], protocols: Sequence[Protocol], rows: Sequence[Row]) -> dict[str, str]:
    """One sentence for each protocol; the other model's own where it differs."""
    found: dict[str, str] = {}
    for protocol in protocols:
        found[protocol.name] = first = protocol.describe(methods[MODEL])
        if OTHER in methods and (second := protocol.describe(methods[OTHER])) != first:
            found[f"{protocol.name} ({OTHER})"] = f"{OTHER}: {second}"
    if any(row["protocol"] == PROTOCOL for row in rows):
        found[PROTOCOL] = f"{PROTOCOL}: {SENTENCE}; the model as in {protocols[0].name}"
    return found


def _reliability(rows: Sequence[Row], calibration: Sequence[Mapping[Region, Reliability]]) -> list[dict[str, Any]]:
    """The reliability curve of each source, and of all pixels."""
    sums: dict[tuple[str, str, str, str], Reliability] = {}
    for row, regions in zip(rows, calibration, strict=True):
        for region, counted in regions.items():
            for place in (row["source"], ALL):
                key = (row["protocol"], row["method"], place, region)
                sums[key] = sums.get(key, Reliability.empty()) + counted
    names = ("protocol", "method", "source", "region")
    return [
        {**dict(zip(names, key, strict=True)), "bin": number, "probability": probability, "share": share, "pixels": n}
        for key, counted in sums.items()
        for number, (probability, share, n) in enumerate(counted.curve(), 1)
    ]
