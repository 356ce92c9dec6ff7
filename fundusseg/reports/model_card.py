"""The model card: what a checkpoint was made of, how it was scored, and what it is and is not for.

After Mitchell et al., Model Cards for Model Reporting, 2019, doi 10.1145/3287560.3287596.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from fundusseg.data.seen_patients import MARKS
from fundusseg.data.splits import SUBSETS
from fundusseg.models.checkpoint import Description
from fundusseg.sample import CUP, DISC

SHOWN = {
    "dice": "Dice",
    "iou": "IoU",
    "hd95_dd": "HD95 (disc diameters)",
    "assd_dd": "ASSD (disc diameters)",
    "vcdr_error": "vertical ratio, mean absolute error",
    "vertical_cdr_mae": "vertical ratio, mean absolute error",
    "vertical_cdr_bias": "vertical ratio, bias",
    "vertical_cdr_icc": "vertical ratio, ICC(2,1)",
    "vertical_cdr_auc": "glaucoma AUC of the vertical ratio",
    "ece": "expected calibration error",
    "accuracy": "pixel accuracy",
}
"""Of all metrics those that a card shows, with their names; the others stand in the evaluation's own files."""

_PLACES = {"all": "all pictures", "macro": "mean of the sources"}

_USE = """\
For research on optic disc and optic cup in colour fundus photographs. Not a medical device: no number it gives is a \
diagnosis, and none may decide on a patient.
"""


def card(
    title: str,
    networks: Mapping[str, Description],
    scores: Sequence[Mapping[str, Any]] = (),
    protocols: Sequence[str] = (),
    remarks: Sequence[str] = (),
) -> str:
    """Lay out a model card.

    Args:
        title: The checkpoint's or bundle's name.
        networks: What each network says of itself, by its part: "segmenter", "localiser", ...
        scores: Cells of a table of results, each as a dictionary: source, region, metric, value, n, undefined; and
            protocol, method, low and high (of a 95% interval) and seen (of `MARKS`), where they are known.
        protocols: One sentence for each way in which they were scored.
        remarks: Sentences that belong below the scores: what is not known, and how it can be.

    Returns:
        Markdown; the same content gives the same text.
    """
    parts = [f"# Model card: {_text(title)}", "## Intended use", _USE + _limits(networks.values())]
    for part, description in networks.items():
        name = f" of the {_text(part)}" if len(networks) > 1 else ""
        parts += [f"## Network{name}", _network(description), f"## Data{name}", _data(description)]
    parts += ["## Scores", _scores(scores, protocols, remarks)]
    for part, description in networks.items():
        name = f": the {_text(part)}" if len(networks) > 1 else ""
        parts += [f"## To repeat it{name}", _repeat(description)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def card_path(checkpoint: str | Path) -> Path:
    """Where a checkpoint's card lies: ``best.md`` beside ``best.ckpt``."""
    return Path(checkpoint).with_suffix(".md")


def _limits(networks: Iterable[Description]) -> str:
    """What follows from how the networks were made."""
    networks = list(networks)
    sources = sorted({source for description in networks for source in description.sources})
    regions = networks[0].preparation.regions
    limits = [
        f"Trained on {_list(sources) or 'data that are not known'} alone: other cameras, populations and diseases may "
        "give worse results than the table says, and nobody has measured them here.",
        f"It draws {_list(regions)} and nothing else, one area each where it is disc or cup, in every photograph that "
        "is not rejected.",
    ]
    if networks[0].preparation.roi == "disc" and len(networks) == 1:
        limits.append("It was trained on crops around the disc: whole photographs need a localiser before it.")
    if {DISC, CUP} <= set(regions):
        limits.append(
            "The cup is drawn from colour and vessels in one photograph, without depth, where experts differ too."
        )
    limits.append("The datasets' licences below bind whoever uses these weights.")
    return "\n" + "\n".join(f"- {limit}" for limit in limits)


def _network(description: Description) -> str:
    preparation = description.preparation
    where = f"{preparation.roi_scale:g} disc diameters" if preparation.roi == "disc" else preparation.roi
    where = where.replace("_", " ")
    arguments = yaml.safe_dump(description.network.get("init_args", {}), default_flow_style=True, width=math.inf)
    contrast = f", equalised with clip limit {preparation.clahe:g}" if preparation.clahe is not None else ""
    rows = {
        "Class": f"`{description.network['class_path']}`",
        "Arguments": f"`{arguments.strip()}`",
        "Regions": _list(preparation.regions),
        "Input": f"{where}, {preparation.image_size} x {preparation.image_size} pixels{contrast}",
        "Thresholds": ", ".join(f"{region} {value:.2f}" for region, value in description.thresholds.items()),
        "Target": f"{preparation.fusion} of the experts",
    }
    return _table(["", ""], [[key, value] for key, value in rows.items()])


def _data(description: Description) -> str:
    """Sources, licences and counts of the subsets."""
    split = description.split
    if split is None:
        licences = [[_text(source), _text(licence)] for source, licence in description.sources.items()]
        known = _table(["source", "licence"], licences) + "\n\n" if licences else ""
        return f"{known}Whom it was trained on is not known: no score of it can be shown to be of strangers."
    listed = {subset: split.keys(subset) for subset in SUBSETS}
    sources = dict.fromkeys([*description.sources, *(key.split("/")[0] for keys in listed.values() for key in keys)])
    rows = []
    for source in sources:
        cells = []
        for keys in listed.values():
            own = [key for key in keys if key.split("/")[0] == source]
            cells.append(f"{len(own)} ({len({split.patients.get(key, key) for key in own})})")
        rows.append([_text(source), _text(description.sources.get(source, "not stated")), *cells])
    counts = _table(["source", "licence", *(f"{subset}: pictures (patients)" for subset in SUBSETS)], rows)
    dropped = f"Left out, shown in another source or subset too: {len(split.dropped)} pictures.\n\n" * bool(
        split.dropped
    )
    return f"{counts}\n\n{dropped}{split.protocol.capitalize()}. SHA-256 of the split: `{split.digest}`."


def _scores(scores: Sequence[Mapping[str, Any]], protocols: Sequence[str], remarks: Sequence[str]) -> str:
    """One table for each protocol and method: a line for each source, a column for each region and metric."""
    parts = [f"- {_text(sentence)}" for sentence in protocols]
    parts = ["\n".join(parts)] if parts else []
    shown = [row for row in scores if row["metric"] in SHOWN]
    for protocol, method in dict.fromkeys((row.get("protocol", ""), row.get("method", "")) for row in shown):
        rows = [row for row in shown if (row.get("protocol", ""), row.get("method", "")) == (protocol, method)]
        heading = ": ".join(_text(word) for word in (protocol, method) if word)
        parts += [f"### {heading}"] if heading else []
        parts.append(_score_table(rows))
    if not shown:
        parts.append("None was measured with these weights.")
    elif any(not math.isnan(_number(row.get("low"))) for row in shown):
        parts.append(
            "In brackets the 95% bootstrap interval over patients (of an area under the curve DeLong's). n counts "
            "pictures."
        )
    return "\n\n".join([*parts, *remarks])


def _score_table(rows: Sequence[Mapping[str, Any]]) -> str:
    columns = list(dict.fromkeys((row["region"], row["metric"]) for row in rows))
    headings = [SHOWN[metric] if "+" in region else f"{region} {SHOWN[metric]}" for region, metric in columns]
    lines = []
    for source in dict.fromkeys(row["source"] for row in rows):
        cells = {(row["region"], row["metric"]): row for row in rows if row["source"] == source}
        seen = MARKS[next((row["seen"] for row in cells.values() if "seen" in row), "no")]
        place = _PLACES.get(source, _text(source))
        name = f"{place} ({seen})" if seen else place
        lines.append([name, *(_cell(cells.get(column)) for column in columns)])
    return _table(["source", *headings], lines)


def _cell(row: Mapping[str, Any] | None) -> str:
    """One figure with its interval, its n and what is undefined."""
    if row is None or row["n"] == row["undefined"] == 0:
        return "not labelled"
    notes = f"n {row['n']}" + (f", {row['undefined']} undefined" if row["undefined"] else "")
    value, low, high = (_number(row.get(key)) for key in ("value", "low", "high"))
    if math.isnan(value):
        return f"undefined; {notes}"
    interval = "" if math.isnan(low) else f" [{low:.3f}, {high:.3f}]"
    return f"{value:.3f}{interval}; {notes}"


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _repeat(description: Description) -> str:
    """Command, versions and configuration."""
    parts = []
    if description.command:
        parts.append(f"```sh\n{description.command}\n```")
    else:
        parts.append("The command is not known.")
    versions = {"fundusseg": description.version, **description.versions}
    parts.append(", ".join(f"{name} {version}" for name, version in versions.items()) + ".")
    if description.configuration:
        text = description.configuration.strip("\n")
        parts.append(f"<details><summary>The whole configuration</summary>\n\n```yaml\n{text}\n```\n\n</details>")
    return "\n\n".join(parts)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _text(words: object) -> str:
    """A name that cannot break a table or begin a tag: sources and files are called as users like."""
    text = " ".join(str(words).split())
    for sign, written in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|")):
        text = text.replace(sign, written)
    return text


def _list(words: Iterable[str]) -> str:
    return ", ".join(_text(word) for word in words)
