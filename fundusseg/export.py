"""Write the networks of a bundle for other programs: ONNX, OpenVINO, or torch.export.

    python -m fundusseg.export --to onnx --output exported
    python -m fundusseg.export --checkpoint fundus.bundle --to openvino --output exported

Writes for each network of the bundle (segmenters, localiser, the one that tells the eye) a file that takes pixels,
uint8 in batches of any number, and gives logits; normalisation is inside. In the file stand its regions, thresholds,
crop, the digest of the bundle, the licences of what it was trained on, and for ONNX the opset. The model card says how
squares are cut for it. Needs the extra `export`, but for torch_export.
"""

from pathlib import Path

from fundusseg.atomic_file import file_digest, make_folder
from fundusseg.cli import Parser, add_trust, console, parse_trusting, run
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.pretrained import pretrained_bundle
from fundusseg.runtimes.choices import Format
from fundusseg.runtimes.exported_files import metadata_of, write_exported
from fundusseg.xla.process import prepare_process


def parser() -> Parser:
    """The command's arguments."""
    parser = Parser(prog="fundusseg export", description=__doc__)
    parser.add_argument("--to", required=True, type=Format, help="What is written.")
    parser.add_argument(
        "--checkpoint", default=None, type=str | None, help="What fit or bundle wrote [the package's own]."
    )
    parser.add_argument("--output", default="exported", type=str, help="Folder for the files.")
    add_trust(parser)
    return parser


def main(arguments: list[str]) -> int:
    """Export; returns the exit code."""
    settings = parse_trusting(parser(), arguments)
    prepare_process()
    source = Path(settings.checkpoint) if settings.checkpoint else pretrained_bundle()
    bundle = Bundle.load(source)
    output = make_folder(Path(settings.output), "the exported networks", "--output")
    digest = file_digest(source)
    for part, segmenter in bundle.parts.items():
        metadata = metadata_of(segmenter.description, part, digest)
        written = write_exported(segmenter.network, metadata, output / part.replace(" ", "-"), settings.to)
        for path in written:
            console.print(f"{path}: {part}, {path.stat().st_size / 1e6:.1f} MB", soft_wrap=True, highlight=False)
    return 0


if __name__ == "__main__":
    run(main)
