"""A challenger's scores beside those of the champion and of the first one: tables, pictures, and what they prove.

The tests are those of `evaluate --against`: paired over patients, each number by Wilcoxon's signed-rank test and its
bootstrap interval. Its two-sided sentences tell losses; what a promotion rests on is one-sided, see `promotion`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fundusseg import __version__
from fundusseg.atomic_file import file_digest
from fundusseg.data.seen_patients import SeenPatients
from fundusseg.data.splits import Split
from fundusseg.datasets.base import FundusDataset
from fundusseg.errors import DatasetError
from fundusseg.evaluation.cohort import select_cohort
from fundusseg.evaluation.model_comparison import ModelComparison, compare_models
from fundusseg.evaluation.protocols import select_protocols
from fundusseg.evaluation.result_files import write_result
from fundusseg.evaluation.results import EvaluationResult
from fundusseg.evaluation.scoring import MODEL, OTHER, Case, Row, Scored
from fundusseg.evaluation.worst_cases import WorstCases
from fundusseg.imaging.image_files import encode_jpeg
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.learning.correction_files import SITE
from fundusseg.learning.kept_scores import KeptScores
from fundusseg.reports.metric_names import AUTOMATIC_ROI
from fundusseg.reports.overlay import overlay

FIRST = "first champion"
"""Method of the bundle that all rounds began from, where the champion is another one."""

PICTURES = 4
"""Photographs of the frozen set that are drawn, those that changed most."""


@dataclass(frozen=True, slots=True)
class Bundles:
    """Who is compared.

    Attributes:
        challenger: Bundle.
        champion: Bundle that it would follow.
        first: The first champion; often the same.
    """

    challenger: Path
    champion: Path
    first: Path

    @property
    def by_method(self) -> dict[str, Path]:
        """Each once."""
        found = {MODEL: self.challenger, OTHER: self.champion}
        # By the file: one of the two may have come by the link to the current one.
        return found if self.first.samefile(self.champion) else {**found, FIRST: self.first}


@dataclass(frozen=True, slots=True)
class BundleComparison:
    """What a comparison has shown.

    Attributes:
        since_champion: The challenger against the champion.
        since_first: Against the first champion; empty where that is the champion.
    """

    since_champion: Sequence[ModelComparison] = field(repr=False)
    since_first: Sequence[ModelComparison] = field(default=(), repr=False)


def compare_bundles(
    bundles: Bundles, frozen: FundusDataset, public: Sequence[FundusDataset], device: str, scores: Path, output: Path
) -> BundleComparison:
    """Score all on the same pictures; write the tables and the pictures of the largest changes.

    Args:
        bundles: Who is compared.
        frozen: The frozen set; none of its pictures may have been seen.
        public: Other sets; their pictures that any was trained on are left out.
        device: Where to compute.
        scores: Folder of scores that are kept from round to round.
        output: Folder for the files of `evaluate`.

    Raises:
        CheckpointError: A network does not say whom it was trained on.
    """
    paths = bundles.by_method
    methods = {method: Predictor(Bundle.load(path, device)) for method, path in paths.items()}
    splits = [
        split
        for predictor in methods.values()
        for network in predictor.bundle.networks.values()
        for split in network.description.splits
    ]
    # An empty split of their own: known pictures are left out silently, as they are no mistake here.
    cases = select_cohort([frozen], SeenPatients(splits), Split((), (), ()))
    cases += untrained_cases(public, splits)
    kept = KeptScores(scores, cases, methods[MODEL].description.preparation.scored, device)
    by_method = [kept.of(method, paths[method], predictor) for method, predictor in methods.items()]
    scored = [_together(several) for several in zip(*by_method, strict=True)]
    made_by = {method: f"{path.name}, sha256 {file_digest(path)}" for method, path in paths.items()}
    protocols = select_protocols([AUTOMATIC_ROI])
    result = EvaluationResult(scored, methods, protocols, {**made_by, "fundusseg": __version__})
    write_result(result, output, WorstCases())
    _draw_changes(cases, result.rows, methods, output / "changes")
    return BundleComparison(result.model_comparisons, _since_first(result))


def untrained_cases(public: Sequence[FundusDataset], splits: Sequence[Split | None]) -> list[Case]:
    """Pictures of public sources that no weight was trained on.

    Pictures that chose between a training's weights are among them: a champion that was trained on all of a source has
    no others, and each of the two was chosen by such pictures.

    Args:
        public: The sources.
        splits: Of all networks.
    """
    if not public:
        return []
    trained = [split and replace(split, val=(), dropped=()) for split in splits]
    try:
        return select_cohort(public, SeenPatients(trained), Split((), (), ()))
    except DatasetError as error:
        if "was trained or chosen on" not in error.got:
            raise
        return []  # all of them taught


def _together(several: Sequence[Scored]) -> Scored:
    """One picture's scores of all methods."""
    return Scored([row for one in several for row in one.rows], [cell for one in several for cell in one.calibration])


def _since_first(result: EvaluationResult) -> list[ModelComparison]:
    if FIRST not in result.methods:
        return []
    ours, theirs = (result.methods[method].description.preparation.regions for method in (MODEL, FIRST))
    return compare_models(result.rows, [region for region in ours if region in theirs], MODEL, FIRST)


def _draw_changes(cases: Sequence[Case], rows: Sequence[Row], methods: Mapping[str, Predictor], folder: Path) -> None:
    """Frozen photographs that changed most: the challenger's outlines in colour, the champion's white."""
    of: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row["source"] == SITE and not row["error"]:
            of.setdefault(row["name"], {})[row["method"]] = row
    changes = {name: _change(both[MODEL], both[OTHER]) for name, both in of.items() if {MODEL, OTHER} <= set(both)}
    largest = sorted(changes, key=lambda name: (-changes[name], name))[:PICTURES]
    for case in cases:
        if case.record.source == SITE and case.record.name in largest and changes[case.record.name] > 0:
            image = case.dataset.photograph(case.record)
            maps = {method: methods[method](image).label_map for method in (MODEL, OTHER)}
            folder.mkdir(parents=True, exist_ok=True)
            drawn = overlay(image, maps[MODEL], truth=maps[OTHER], line=2)
            (folder / f"{case.record.name}.jpg").write_bytes(encode_jpeg(drawn))


def _change(one: Row, other: Row) -> float:
    """Sum of the absolute changes of its Dice and vertical ratio."""
    names = [name for name in one if name.endswith("_dice") or name in ("vertical_cdr", "vertical_cdr_error")]
    found = [abs(float(one[name]) - float(other[name])) for name in names if _known(one[name]) and _known(other[name])]
    return sum(found)


def _known(value: Any) -> bool:
    return isinstance(value, int | float) and value == value
