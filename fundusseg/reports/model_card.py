"""The model card: what a checkpoint was made of, how it was scored, and what it is and is not for.

After Mitchell et al., Model Cards for Model Reporting, 2019, doi 10.1145/3287560.3287596.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import yaml

from fundusseg.data.splits import SUBSETS
from fundusseg.models.checkpoint import Description, Earlier
from fundusseg.reports.tables import NOTES, code_block, code_span, markdown_table, markdown_text
from fundusseg.sample import CUP, DISC

_NAMES = """\
The file says which pictures it has seen by digests of their decoded pixels and by perceptual hashes (256 bits), and \
keeps a patient's pictures together by a digest of these; it holds no name, no patient's number and no path. Whoever \
has a picture can tell whether it was used, which is what they are for, and a hash shows as much of a picture as a \
thumbnail of a few dots. Nobody can find a name by trying names out. What a digest cannot tell: another picture of a \
known patient, where none that was used lies beside it.
"""

_USE = """\
For research on optic disc and optic cup in colour fundus photographs. Not a medical device: no number it gives is a \
diagnosis, and none may decide on a patient.
"""


def model_card_text(
    title: str,
    networks: Mapping[str, Description],
    scores: str = "",
    protocols: Sequence[str] = (),
    remarks: Sequence[str] = (),
) -> str:
    """Lay out a model card.

    Args:
        title: The checkpoint's or bundle's name.
        networks: What each network says of itself, by its part: "segmenter", "localiser", ...
        scores: Tables of results in Markdown, see `fundusseg.reports.tables`; empty where nothing was measured.
        protocols: One sentence for each way in which they were scored.
        remarks: Sentences that belong below the scores: what is not known, and how it can be.

    Returns:
        Markdown; the same content gives the same text.
    """
    parts = [f"# Model card: {markdown_text(title)}", "## Intended use", _USE + _limits(networks.values())]
    for part, description in networks.items():
        name = f" of the {markdown_text(part)}" if len(networks) > 1 else ""
        parts += [f"## Network{name}", _network(description), f"## Data{name}", _data(description)]
    listed = "\n".join(f"- {markdown_text(sentence)}" for sentence in protocols)
    measured = f"{scores}\n\n{NOTES}" if scores else "None was measured with these weights."
    parts += ["## Scores", *([listed] if listed else []), measured, *map(markdown_text, remarks)]
    for part, description in networks.items():
        name = f": the {markdown_text(part)}" if len(networks) > 1 else ""
        parts += [f"## To repeat it{name}", _repeat(description)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def card_path(checkpoint: str | Path) -> Path:
    """Where a checkpoint's card lies: ``best.md`` beside ``best.ckpt``."""
    return Path(checkpoint).with_suffix(".md")


def _limits(networks: Iterable[Description]) -> str:
    """What follows from how the networks were made."""
    networks = list(networks)
    sources = sorted({source for description in networks for source in description.all_sources})
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
    # On one line, however long: a break would end the table's row.
    arguments = yaml.safe_dump(description.network.get("init_args", {}), default_flow_style=True, width=math.inf)
    contrast = f", equalised with clip limit {preparation.clahe:g}" if preparation.clahe is not None else ""
    rows = {
        "Class": code_span(description.network["class_path"]),
        "Arguments": code_span(arguments.strip()),
        "Regions": ", ".join(preparation.regions),
        "Input": f"{where}, {preparation.image_size} x {preparation.image_size} pixels{contrast}",
        "Thresholds": ", ".join(f"{region} {value:.2f}" for region, value in description.thresholds.items()),
        "Target": f"{preparation.fusion} of the experts",
    }
    return markdown_table(["", ""], [[key, value] for key, value in rows.items()])


def _data(description: Description) -> str:
    """Sources, licences and counts of the subsets."""
    split = description.split
    if split is None:
        table = markdown_table(["source", "licence"], [[*pair] for pair in description.sources.items()])
        known = f"{table}\n\n" if description.sources else ""
        return f"{known}Whom it was trained on is not known: no score of it can be shown to be of held-out patients."
    listed = {subset: split.keys(subset) for subset in SUBSETS}
    # In the order of the data, then those that only the split names: a source whose licence is not known.
    sources = dict.fromkeys([*description.sources, *(key.split("/")[0] for keys in listed.values() for key in keys)])
    rows = []
    for source in sources:
        cells = []
        for keys in listed.values():
            own = [key for key in keys if key.split("/")[0] == source]
            # Pictures, and patients in brackets; in a split that names no patients each picture counts as one.
            cells.append(f"{len(own)} ({len({split.patients.get(key, key) for key in own})})")
        rows.append([source, description.sources.get(source, "not stated"), *cells])
    counts = markdown_table(["source", "licence", *(f"{subset}: pictures (patients)" for subset in SUBSETS)], rows)
    dropped = f"Left out, shown in another source or subset too: {len(split.dropped)} pictures.\n\n" * bool(
        split.dropped
    )
    return (
        f"{counts}\n\n{dropped}{split.protocol.capitalize()}. SHA-256 of the split: `{split.digest}`.\n\n"
        f"{_earlier(description.earlier)}{_NAMES if split.perceptual_hashes else ''}"
    ).strip()


def _earlier(trainings: Sequence[Earlier]) -> str:
    """What the weights were trained on before, and what the thresholds were fitted on."""
    lines = []
    for training in trainings:
        split = training.split
        if not training.sources and split is not None:
            site = _list(sorted({key.split("/", 1)[0] for key in split.val}))
            lines.append(f"Its thresholds and its interval were fitted on {len(split.val)} pictures of {site}.\n\n")
            continue
        seen = "whom is not known" if split is None else f"{len(split.train)} pictures, chosen on {len(split.val)}"
        licences = ", ".join(
            f"{markdown_text(source)} ({markdown_text(licence)})" for source, licence in training.sources.items()
        )
        lines.append(f"Its weights come from a training on {licences}: {seen}.\n\n")
    return "".join(lines)


def _repeat(description: Description) -> str:
    """Command, versions and configuration."""
    parts = [code_block(description.command, "sh") if description.command else "The command is not known."]
    versions = {"fundusseg": description.version, **description.versions}
    parts.append(_list(f"{name} {version}" for name, version in versions.items()) + ".")
    if description.configuration:
        text = code_block(description.configuration.strip("\n"), "yaml")
        parts.append(f"<details><summary>The whole configuration</summary>\n\n{text}\n\n</details>")
    return "\n\n".join(parts)


def _list(words: Iterable[str]) -> str:
    return ", ".join(map(markdown_text, words))
