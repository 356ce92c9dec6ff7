"""Challenger against champion, on the frozen set and every public set at hand: promoted only if better and never worse.

The tests are those of `evaluate --against`: paired over patients, each number by Wilcoxon's signed-rank test and its
bootstrap interval. What must be better is a family of tests of its own, what must not be worse the whole table.
"""

from collections.abc import Sequence
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
from fundusseg.evaluation.estimates import ALL
from fundusseg.evaluation.model_comparison import ModelComparison
from fundusseg.evaluation.protocols import select_protocols
from fundusseg.evaluation.result_files import write_result
from fundusseg.evaluation.results import EvaluationResult
from fundusseg.evaluation.scoring import MODEL, OTHER, Case, Evaluation, Row
from fundusseg.evaluation.worst_cases import WorstCases
from fundusseg.imaging.image_files import encode_jpeg
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.learning.correction_files import SITE
from fundusseg.measures.paired_tests import holm
from fundusseg.reports.metric_names import AUTOMATIC_ROI, LOWER_IS_BETTER, VCDR_ERROR, metric_heading
from fundusseg.reports.overlay import overlay

PRIMARY = ("dice", VCDR_ERROR)
"""Measures of the frozen set, any of which must be better."""

FEWEST_FROZEN = 8
"""Patients to compare on. Of 7 all would have to gain, of 8 all but who changes least: 3 * 4 / 2**8 is 0.047."""

MARGINS = {"dice": 0.005, VCDR_ERROR: 0.01, "hd95_dd": 0.01}
"""Smaller losses are none that anybody could see: of Dice, of the vertical ratio, of a disc's diameter."""

SURE = 15
"""Patients of a place from which a mean loss counts whatever the test says."""

PICTURES = 4
"""Photographs of the frozen set that are drawn, those that changed most."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a challenger is promoted, and why.

    Attributes:
        promoted: Whether.
        reason: In one sentence.
        sentences: Every number of the comparison.
    """

    promoted: bool
    reason: str
    sentences: tuple[str, ...] = field(repr=False)


def compare_bundles(
    challenger: Path,
    champion: Path,
    frozen: FundusDataset,
    public: Sequence[FundusDataset],
    device: str,
    output: Path,
) -> Decision:
    """Score both on the same pictures, write the tables and the pictures of the largest changes, and decide.

    Args:
        challenger: Bundle.
        champion: Bundle.
        frozen: The frozen set; none of its pictures may have been seen.
        public: Other sets; their pictures that either was trained on are left out.
        device: Where to compute.
        output: Folder for the files of `evaluate`.

    Raises:
        CheckpointError: A network does not say whom it was trained on.
    """
    bundles = {MODEL: Bundle.load(challenger, device), OTHER: Bundle.load(champion, device)}
    methods = {method: Predictor(bundle) for method, bundle in bundles.items()}
    networks = [network for bundle in bundles.values() for network in bundle.networks.values()]
    splits = [split for network in networks for split in network.description.splits]
    # An empty split of their own: known pictures are left out silently, as they are no mistake here.
    cases = select_cohort([frozen], SeenPatients(splits), Split((), (), ()))
    cases += untrained_cases(public, splits)
    protocols = select_protocols([AUTOMATIC_ROI])
    scored = list(Evaluation(methods, protocols)(cases))
    made_by = {
        method: f"{path.name}, sha256 {file_digest(path)}" for method, path in ((MODEL, challenger), (OTHER, champion))
    }
    result = EvaluationResult(scored, methods, protocols, {**made_by, "fundusseg": __version__})
    write_result(result, output, WorstCases())
    _draw_changes(cases, result.rows, methods, output / "changes")
    return decide(result.model_comparisons)


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


def decide(comparisons: Sequence[ModelComparison]) -> Decision:
    """Promote what is better on the frozen set beyond chance, and has lost nothing anywhere.

    Better: the Dice of disc and cup and the vertical ratio's error of the frozen set are one family of tests, stated
    beforehand (Holm). Lost: more than one of `MARGINS`, in a number that is worse beyond chance, or in the mean of a
    place of `SURE` patients or more, whatever chance says of it.
    """
    sentences = tuple(one.sentence for one in comparisons)
    site = _own_family([one for one in comparisons if one.source == SITE and one.metric in PRIMARY])
    if max((one.difference.patients for one in site), default=0) < FEWEST_FROZEN:
        return Decision(False, f"fewer than {FEWEST_FROZEN} frozen patients could be scored", sentences)
    # As one of three a number is no worse than as one of the whole table: the same would be said twice.
    others = [one for one in comparisons if one.source != SITE or one.metric not in PRIMARY]
    worse = [one for one in (*others, *site) if _lost(one)]
    if worse:
        return Decision(False, f"worse: {_short(worse)}", sentences)
    better = [one for one in site if one.word == "better"]
    if not better:
        return Decision(False, "no number of the frozen set is better beyond chance", sentences)
    return Decision(True, f"better beyond chance on the frozen set and worse nowhere: {_short(better)}", sentences)


def _own_family(comparisons: Sequence[ModelComparison]) -> list[ModelComparison]:
    """As if nothing else had been tested."""
    adjusted = holm([one.difference.p for one in comparisons])
    return [replace(one, p=float(p)) for one, p in zip(comparisons, adjusted, strict=True)]


def _lost(one: ModelComparison) -> bool:
    loss = one.difference.mean if one.metric in LOWER_IS_BETTER else -one.difference.mean
    if not loss > MARGINS.get(one.metric, 0.0):
        return False
    return one.word == "worse" or (one.metric in PRIMARY and one.difference.patients >= SURE)


def _short(comparisons: Sequence[ModelComparison]) -> str:
    return "; ".join(
        f"{'all pictures' if one.source == ALL else one.source}, {metric_heading(one.region, one.metric)} "
        f"{one.other:.3f} to {one.model:.3f}"
        for one in comparisons
    )


def _draw_changes(cases: Sequence[Case], rows: Sequence[Row], methods: dict[str, Predictor], folder: Path) -> None:
    """Frozen photographs that changed most: the challenger's outlines in colour, the champion's white."""
    of: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row["source"] == SITE and not row["error"]:
            of.setdefault(row["name"], {})[row["method"]] = row
    changes = {name: _change(both[MODEL], both[OTHER]) for name, both in of.items() if len(both) == len(methods)}
    largest = sorted(changes, key=lambda name: (-changes[name], name))[:PICTURES]
    for case in cases:
        if case.record.source == SITE and case.record.name in largest and changes[case.record.name] > 0:
            image = case.dataset.photograph(case.record)
            maps = {method: predictor(image).label_map for method, predictor in methods.items()}
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
