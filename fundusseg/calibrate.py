"""Fit a bundle to one site's readers, from 5 to 50 of its eyes, drawn or with their vertical ratios alone.

    python -m fundusseg.calibrate --config site.yaml --output site.bundle
    python -m fundusseg.calibrate --bundle fundus.bundle --config site.yaml --data.root FOLDER --output site.bundle
    python -m fundusseg.calibrate --ratios ratios.csv --output site.bundle

From a configuration only its `data` is read, and of that the datasets: eyes whose disc and cup are both drawn. A table
of ratios is a CSV file with a column `file` (photographs, beside the table or from the current folder), a column
`vertical_cdr`, and `patient` where several photographs are of one person. No weight is changed: the cup's threshold,
and the disc's where discs are drawn, follow the site's readers, and the interval of the vertical ratio is calibrated
anew.

What it gains is measured on eyes that it was not fitted to, leaving out each patient in turn. A threshold is moved only
where the 95 % interval of that gain is above 0; otherwise it says so and leaves the threshold as it was. The bundle is
written either way, for the interval is the site's own: that of 9 eyes or more promises what it says, of fewer it is the
bundle's, widened where an eye lay outside. Eyes that a network was trained or chosen on are left out, and `evaluate`
knows those that were used here as seen.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fundusseg.cli import FIXED, TRAINING, Parser, add_trust, console, parse_trusting, run, scored_data
from fundusseg.data.datamodule import FundusDataModule
from fundusseg.data.seen_patients import SeenPatients
from fundusseg.data.splits import Split
from fundusseg.errors import ConfigurationError
from fundusseg.evaluation.site_calibration import Gain, SiteCalibration, calibrate_site
from fundusseg.evaluation.site_eyes import OutlineReadings, RatioReadings, Readings, SiteEye, segment_eyes
from fundusseg.inference import model_bundle
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.inference.pretrained import pretrained_bundle
from fundusseg.inference.uncertainty import least_photographs
from fundusseg.models.checkpoint import Earlier
from fundusseg.models.redaction import command_without_paths
from fundusseg.reports.files import write_text
from fundusseg.reports.model_card import card_path, model_card_text
from fundusseg.reports.progress import progress
from fundusseg.reports.tables import Markdown, code_span, markdown_table, terminal_table
from fundusseg.sample import CUP, DISC
from fundusseg.xla.process import compute_device, prepare_process

LOOKS = 4
"""Views where the bundle says none: their spread makes the interval."""


def parser() -> Parser:
    """The command's arguments."""
    parser = Parser(prog="fundusseg calibrate", description=__doc__)
    parser.add_argument("--bundle", type=str | None, help="Of bundle or fit [the package's own].")
    parser.add_argument("--config", type=str | None, help="YAML whose datasets are the site's drawn eyes.")
    parser.add_argument("--ratios", type=str | None, help="CSV file of photographs and their vertical ratios.")
    parser.add_argument("--output", default="site.bundle", type=str, help="The bundle for this site.")
    parser.add_argument("--coverage", default=0.9, type=float, help="Share of intervals that hold the reader's ratio.")
    parser.add_argument("--views", default=None, type=int | None, help="Mirrored views, 2 to 4 [the bundle's, or 4].")
    parser.add_argument("--device", default="cpu", type=str, help="cpu, cuda, cuda:1, tpu, ...")
    parser.add_class_arguments(FundusDataModule, "data", skip=FIXED | TRAINING, instantiate=False)
    add_trust(parser)
    return parser


def main(arguments: list[str]) -> int:
    """Calibrate; returns the exit code: 0, or 1 when an eye could not be used."""
    prepare_process()
    command = parser()
    first = parse_trusting(command, arguments)
    least_photographs(first.coverage)
    readings = _readings(command, arguments, first)
    source = first.bundle or str(pretrained_bundle())
    predictor = _predictor(source, first)
    eyes, unused = _segment(predictor, readings)
    eyes = _unseen(eyes, predictor.bundle)
    own = predictor.bundle.calibration
    found = calibrate_site(eyes, predictor.thresholds, own, predictor.views, first.coverage)
    model_bundle.save_calibrated(source, first.output, found.thresholds, found.interval, _chosen_on(eyes))
    write_text(_card(first.output, arguments, found), card_path(first.output))
    _say(found, first.output)
    return 1 if unused else 0


def _readings(command: Parser, arguments: list[str], first: Any) -> Readings:
    """The site's eyes."""
    drawn = first.config or first.data.datasets
    if bool(drawn) == bool(first.ratios):
        raise ConfigurationError(
            "both drawn eyes and a table of ratios" if drawn else "no eyes to calibrate with",
            "either --config (or --data.datasets), or --ratios",
            "give one of them",
        )
    if first.ratios:
        return RatioReadings(Path(first.ratios))
    settings = scored_data(command, arguments, first.config, "data: {}")
    return OutlineReadings([dataset.under(settings.data.root) for dataset in settings.data.datasets])


def _predictor(source: str, first: Any) -> Predictor:
    bundle = Bundle.load(source, compute_device(first.device))
    views = first.views or (bundle.calibration.views if bundle.calibration else LOOKS)
    predictor = Predictor(bundle, views=views)
    regions = predictor.description.preparation.regions
    if not {DISC, CUP} <= set(regions):
        raise ConfigurationError(
            f"a network of {', '.join(regions)}", "one that looks for disc and cup", "give another --bundle"
        )
    if views * len(bundle.segmenters) == 1:
        raise ConfigurationError(
            "one look at each photograph", "several: their spread makes the interval", "give --views 4"
        )
    return predictor


def _segment(predictor: Predictor, readings: Readings) -> tuple[list[SiteEye], int]:
    """Every eye that can be used, and how many cannot; each is said."""
    eyes, unused = [], 0
    with progress(len(readings.records), 0, console) as advance:
        for record, eye in zip(readings.records, segment_eyes(predictor, readings), strict=True):
            if isinstance(eye, SiteEye):
                eyes.append(eye)
            else:
                unused += 1
                console.print(f"{record.name} not used: {eye}", style="yellow", soft_wrap=True, markup=False)
            advance()
    return eyes, unused


def _unseen(eyes: Sequence[SiteEye], bundle: Bundle) -> list[SiteEye]:
    """The eyes of patients that no network was trained or chosen on: those would be too easy."""
    seen = SeenPatients([split for network in bundle.networks.values() for split in network.description.splits])
    seen.meet([eye.record for eye in eyes], {eye.record.key: eye.identity for eye in eyes})
    unseen = [eye for eye in eyes if seen.mark(eye.record, eye.identity) != "patient"]
    if len(unseen) < len(eyes):
        console.print(f"left out: {len(eyes) - len(unseen)} eyes of patients that a network was trained or chosen on")
    if not seen.complete:
        console.print("a network does not say whom it was trained on: if on these eyes, the gain is flattered")
    return unseen


def _chosen_on(eyes: Sequence[SiteEye]) -> Earlier:
    """The eyes as those that chose something, so that nobody takes them for unseen."""
    patients = {eye.record.key: eye.record.patient_key for eye in eyes}
    split = Split((), tuple(patients), (), patients=patients)
    return Earlier({}, split.identified({eye.record.key: eye.identity for eye in eyes}))


def _said(found: SiteCalibration) -> list[str]:
    """What was done, in sentences."""
    moved = [f"the {region}'s threshold is now {found.thresholds[region]:.3f}" for region in found.fitted]
    tried = [gain for gain in found.gains if gain.name.endswith("loss")]
    stays = [gain.name.split()[0] for gain in tried if not gain.shown]
    kept = [
        f"no gain beyond chance in the {region}: its threshold stays {found.thresholds[region]:.3f}" for region in stays
    ]
    promise = [f"The interval promises: {found.guarantee}."]
    return [f"From {found.eyes} eyes: {'; '.join(moved + kept)}.", *found.remarks, *promise]


HEADINGS = ["leaving out each patient", "before", "after", "better by", "95 % interval"]


def _rows(gains: Sequence[Gain]) -> list[list[str]]:
    return [
        [one.name, f"{one.before:.3f}", f"{one.after:.3f}", f"{one.gain:+.3f}", f"{one.low:+.3f} to {one.high:+.3f}"]
        for one in gains
    ]


def _card(output: str, arguments: Sequence[str], found: SiteCalibration) -> str:
    """The model card of the bundle as it was written."""
    typed, made = shlex.join(["python", "-m", "fundusseg.calibrate", *arguments]), Bundle.load(output)
    table = Markdown(markdown_table(HEADINGS, _rows(found.gains)))
    remarks = [*_said(found), table, Markdown(f"Calibrated by {code_span(command_without_paths(typed))}.")]
    networks = {part: network.description for part, network in made.networks.items()}
    return model_card_text(Path(output).name, networks, remarks=remarks)


def _say(found: SiteCalibration, output: str) -> None:
    console.print(terminal_table(HEADINGS, _rows(found.gains)))
    for sentence in _said(found):
        console.print(sentence, soft_wrap=True, markup=False, highlight=False)
    console.print(f"{output}, model card: {card_path(output)}", soft_wrap=True, markup=False)


if __name__ == "__main__":
    run(main)
