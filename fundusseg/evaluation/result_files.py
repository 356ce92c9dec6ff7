"""The files of an evaluation: tables, estimates, the rows of the pictures, reliability curves, model card."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fundusseg.evaluation.dictionaries import write_dictionaries
from fundusseg.evaluation.estimates import ALL, Estimate
from fundusseg.evaluation.results import EvaluationResult
from fundusseg.evaluation.scoring import MODEL, Row
from fundusseg.evaluation.tables import markdown_summary, markdown_tables
from fundusseg.evaluation.worst_cases import WorstCases
from fundusseg.measures.calibration_error import Reliability
from fundusseg.reports.files import write_csv, write_json, write_text
from fundusseg.reports.metric_names import ON_CARD
from fundusseg.reports.model_card import model_card_text
from fundusseg.reports.tables import NOTES, Markdown, markdown_table, markdown_text
from fundusseg.sample import Region


def write_result(result: EvaluationResult, folder: Path, worst: WorstCases) -> None:
    """Write everything, in place of what an evaluation before left there; the same result gives the same bytes."""
    listed = worst.write(folder / "worst")
    write_csv(result.rows, folder / "images.csv")
    estimates = [_flat(estimate) for estimate in result.estimates]
    write_csv(estimates, folder / "figures.csv")
    content = {**result.made_by, "protocols": result.protocols, "remarks": result.remarks, "failures": result.failures}
    write_json({**content, "figures": estimates}, folder / "figures.json")
    write_csv(_reliability_rows(result.rows, result.calibration), folder / "reliability.csv")
    # Of an evaluation before, whose other model is not in this one.
    (folder / "differences.csv").unlink(missing_ok=True)
    if result.model_comparisons:
        write_csv([comparison.as_row() for comparison in result.model_comparisons], folder / "differences.csv")
    write_dictionaries(folder, result.made_by)
    write_text(_table_text(result, listed), folder / "table.md")
    write_text(_card_text(result), folder / "model_card.md")


def _flat(estimate: Estimate) -> dict[str, Any]:
    """Protocol and method first: a reader's eye looks for them there."""
    return {"protocol": estimate.protocol, "method": estimate.method} | asdict(estimate)


def _table_text(result: EvaluationResult, worst: Sequence[Mapping[str, Any]]) -> str:
    """The content of table.md."""
    parts = [f"# {markdown_text(result.title)}"]
    parts.append(_list_text(f"{key}: {value}" for key, value in result.made_by.items()))
    parts.append(_list_text([*result.protocols.values(), *result.remarks]))
    if result.estimates:
        parts += ["## In short", markdown_summary(result.estimates), NOTES]
    if result.failures:
        parts += ["## Not scored", markdown_table(["Picture", "Reason"], [[*pair] for pair in result.failures.items()])]
    if result.model_comparisons:
        parts += ["## Against the other model", _list_text(one.sentence for one in result.model_comparisons)]
    if result.expert_comparisons:
        parts += ["## Beside a second expert", _list_text(one.sentence for one in result.expert_comparisons)]
    if worst:
        rows = [
            [*(row[key] for key in ("protocol", "source", "name")), f"{row['dice']:.3f}", _link(row["file"])]
            for row in worst
        ]
        parts += [
            "## Worst cases",
            markdown_table(["Protocol", "Source", "Name", "Dice of the first region", ""], rows),
        ]
    parts += [markdown_tables(result.estimates)] if result.estimates else []
    return "\n\n".join(parts) + "\n"


def _list_text(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {markdown_text(sentence)}" for sentence in sentences)


def _link(file: str) -> Markdown:
    return Markdown(f"[picture](worst/{file})")


def _card_text(result: EvaluationResult) -> str:
    """The model card with these scores."""
    networks = {name: network.description for name, network in result.methods[MODEL].bundle.networks.items()}
    own = [estimate for estimate in result.estimates if estimate.method == MODEL]
    columns = dict.fromkeys((one.region, one.metric) for one in own if one.metric in ON_CARD)
    scores = markdown_summary(own, [*columns]) if columns else ""
    return model_card_text(result.network, networks, scores, list(result.protocols.values()), result.remarks)


def _reliability_rows(rows: Sequence[Row], calibration: Sequence[Mapping[Region, Reliability]]) -> list[dict[str, Any]]:
    """The reliability curve of each source, and of all pixels."""
    sums: dict[tuple[str, str, str, str], Reliability] = {}
    for row, regions in zip(rows, calibration, strict=True):
        for region, counted in regions.items():
            for place in (row["source"], ALL):
                key = (row["protocol"], row["method"], place, region)
                # Counts of pixels add up over pictures; curves would not.
                sums[key] = sums.get(key, Reliability.empty()) + counted
    names = ("protocol", "method", "source", "region")
    return [
        {**dict(zip(names, key, strict=True)), "bin": number, "probability": probability, "share": share, "pixels": n}
        for key, counted in sums.items()
        for number, (probability, share, n) in enumerate(counted.curve(), 1)
    ]
