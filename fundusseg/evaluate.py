"""Score a checkpoint or a bundle on patients that it was neither trained nor chosen on, at the photographs' own size.

    python -m fundusseg.evaluate --checkpoint best.ckpt
    python -m fundusseg.evaluate --config other.yaml --data.root FOLDER
    python -m fundusseg.evaluate --checkpoint best.ckpt --config other.yaml --data.root FOLDER
    python -m fundusseg.evaluate --checkpoint best.ckpt --localiser localiser.ckpt --against other.ckpt

Without a configuration it takes the checkpoint's own datasets, and only patients that no network of it (the localiser
too) was trained or chosen on. From a configuration only its `data` is read, and of that only the datasets: all
patients, or the test subset of --data.split; known ones are refused, and --allow_seen forces it. Every picture is
scored under two protocols: `automatic_roi`, as in use, where nothing of the ground truth is used and photographs
judged unfit count too; and `ground_truth_roi`, as the original evaluation of Civit-Masot et al. 2019 did it (square
from the labelled disc, threshold 0.5), so that the table shows what the protocol alone is worth.

For each source, all pictures and the mean of the sources: Dice, IoU, precision, recall; HD95, ASSD and centre distance;
radii ratio; of the vertical, horizontal and area ratio mean absolute error, bias, Bland-Altman limits, ICC(2,1) and
Pearson; the rim profile's error; glaucoma AUC of model and experts; calibration error. Intervals are bootstraps over
patients (AUC: DeLong); there is none below five patients. --against says for each number whether another model is
better or worse beyond chance (Wilcoxon's test, adjusted to the table after Holm). Where a dataset has several experts,
each is scored against the majority of the others, and the model in that expert's place.

Writes table.md, figures.csv and figures.json (every estimate with n, undefined and a 95% interval), images.csv (a row
for each picture), reliability.csv, worst/ (pictures of the worst cases), model_card.md, and with --against
differences.csv; beside each CSV file its data dictionary, TABLE_dictionary.csv and .json. The same files give the same
bytes, with any number of --workers. A picture that cannot be scored is listed with its reason, and the rest is done;
the exit code is then 1.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from fundusseg import __version__
from fundusseg.atomic_file import file_digest, make_folder
from fundusseg.cli import FIXED, TRAINING, Parser, add_trust, console, parse_trusting, run, scored_data
from fundusseg.data.datamodule import FundusDataModule
from fundusseg.data.seen_patients import SeenPatients
from fundusseg.data.splits import Split
from fundusseg.datasets import Phantom
from fundusseg.errors import ConfigurationError
from fundusseg.evaluation.cohort import select_cohort
from fundusseg.evaluation.estimates import INTEROBSERVER
from fundusseg.evaluation.protocols import select_protocols
from fundusseg.evaluation.result_files import write_result
from fundusseg.evaluation.results import EvaluationResult
from fundusseg.evaluation.scoring import MODEL, OTHER, Case, Evaluation, Scored
from fundusseg.evaluation.tables import terminal_summary
from fundusseg.evaluation.worst_cases import WorstCases
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.inference.pretrained import pretrained_bundle
from fundusseg.inference.segmenter import Segmenter
from fundusseg.models import checkpoint
from fundusseg.reports.metric_names import AUTOMATIC_ROI, GROUND_TRUTH_ROI
from fundusseg.reports.progress import progress
from fundusseg.xla.process import compute_device, prepare_process


def parser() -> Parser:
    """The command's arguments."""
    parser = Parser(prog="fundusseg evaluate", description=__doc__)
    parser.add_argument("--checkpoint", type=str | None, help="What fit or bundle wrote [the package's own].")
    parser.add_argument("--localiser", type=str | None, help="Checkpoint that finds the disc, in place of a bundle's.")
    parser.add_argument("--against", type=str | None, help="Another checkpoint or bundle, on the same pictures.")
    parser.add_argument("--config", type=str | None, help="YAML whose datasets are scored.")
    parser.add_argument("--output", type=str | None, help="Folder for the results [evaluation/ beside the checkpoint].")
    parser.add_argument(
        "--protocols",
        nargs="+",
        type=Literal["automatic_roi", "ground_truth_roi", "clean", "seed"],
        default=[AUTOMATIC_ROI, GROUND_TRUTH_ROI],
        help="How to score; clean and seed are the old names.",
    )
    parser.add_argument(
        "--allow_seen", "--allow-seen", action="store_true", help="Score known patients too; the table says so."
    )
    parser.add_argument("--device", default="cpu", type=str, help="cpu, cuda, cuda:1, tpu, ...")
    parser.add_argument("--views", default=None, type=int | None, help="Mirrored views of each, 1 to 4 [the bundle's].")
    parser.add_argument("--workers", default=1, type=int, help="Threads that decode, and that compare.")
    parser.add_class_arguments(FundusDataModule, "data", skip=FIXED | TRAINING - {"split"}, instantiate=False)
    add_trust(parser)
    return parser


def main(arguments: list[str]) -> int:
    """Evaluate; returns the exit code: 0, or 1 when a picture could not be scored."""
    prepare_process()
    command = parser()
    first = parse_trusting(command, arguments)
    beside = Path(first.checkpoint).parent if first.checkpoint else Path()
    first.checkpoint = first.checkpoint or str(pretrained_bundle())
    if first.workers < 1:
        raise ConfigurationError(f"{first.workers} workers", "1 or more", "correct --workers")
    methods = _methods(first)
    own = checkpoint.named(methods[MODEL].description, first.checkpoint)
    settings = scored_data(command, arguments, first.config, own.configuration)
    datasets = [dataset.under(settings.data.root) for dataset in settings.data.datasets or [Phantom()]]
    networks = [network for one in methods.values() for network in one.bundle.networks.values()]
    # In the run's own folder patients are known by name too, not by their pictures alone.
    seen = SeenPatients([own.split, *(split for network in networks for split in network.description.splits)])
    given = Split.load(settings.data.split) if settings.data.split else None
    cases = select_cohort(datasets, seen, None if first.config else own.split, given, first.allow_seen)
    folder = f"evaluation-{Path(first.config).stem}" if first.config else "evaluation"
    output = make_folder(Path(first.output or beside / folder), "the results", "--output")
    worst, protocols = WorstCases(), select_protocols(first.protocols)
    scored = _score(Evaluation(methods, protocols, worst), cases, first.workers)
    result = EvaluationResult(scored, methods, protocols, _made_by(first))
    write_result(result, output, worst)
    _say(result, output)
    return 1 if result.failures else 0


def _methods(settings: Any) -> dict[str, Predictor]:
    """The networks by method."""
    device = compute_device(settings.device)
    localiser = Segmenter.from_checkpoint(settings.localiser, device) if settings.localiser else None
    found = {}
    for method, path in ((MODEL, settings.checkpoint), (OTHER, settings.against)):
        if path is None:
            continue
        bundle = Bundle.load(path, device)
        if localiser is not None and (method == MODEL or bundle.localiser is None):
            bundle = replace(bundle, localiser=localiser)
        found[method] = Predictor(bundle, views=settings.views)
    regions = [set(one.description.preparation.regions) for one in found.values()]
    if not set.intersection(*regions):
        raise ConfigurationError(
            f"a network of {', '.join(sorted(regions[1]))} against one of {', '.join(sorted(regions[0]))}",
            "a region that both look for",
            "give another checkpoint to --against",
        )
    return found


def _score(evaluation: Evaluation, cases: Sequence[Case], workers: int) -> list[Scored]:
    """Everything, with a bar."""
    scored = []
    with progress(len(cases), 0, console) as advance:
        for one in evaluation(cases, workers):
            scored.append(one)
            advance()
    return scored


def _made_by(settings: Any) -> dict[str, str]:
    """Files and version, as every output names them; no folder, so that the same files give the same bytes."""
    files = {MODEL: settings.checkpoint, "localiser": settings.localiser, OTHER: settings.against}
    return {
        **{what: f"{Path(file).name}, sha256 {file_digest(Path(file))}" for what, file in files.items() if file},
        "fundusseg": __version__,
    }


def _say(result: EvaluationResult, output: Path) -> None:
    """Print the few estimates and every sentence; all else is in the files."""
    experts = "Experts against each other, and the model in their place"
    for of_experts, title in ((False, result.title), (True, experts)):
        if estimates := [one for one in result.estimates if (one.protocol == INTEROBSERVER) == of_experts]:
            console.print(terminal_summary(estimates, title))
    said = [*result.protocols.values(), *result.remarks]
    said += [comparison.sentence for comparison in result.model_comparisons]
    said += [comparison.sentence for comparison in result.expert_comparisons]
    for sentence in said:
        console.print(sentence, soft_wrap=True, markup=False, highlight=False)
    for name, reason in result.failures.items():
        console.print(f"{name} not scored: {reason}", style="red", soft_wrap=True, markup=False)
    done = result.pictures - len(result.failures)
    console.print(f"{done} of {result.pictures} pictures scored: {output}", soft_wrap=True, markup=False)


if __name__ == "__main__":
    run(main)
