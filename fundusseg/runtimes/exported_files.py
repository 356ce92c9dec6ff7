"""Files of a network for other programs: pixels in, logits out, and in the file what it needs to be used."""

import json
import tempfile
from pathlib import Path

from torch import nn

from fundusseg.atomic_file import write_whole
from fundusseg.models.base import require_choice
from fundusseg.models.checkpoint import Description
from fundusseg.runtimes.choices import Format
from fundusseg.runtimes.exported_program import INPUT, OPSET, OUTPUT, exported_program, onnx_bytes, program_bytes
from fundusseg.runtimes.libraries import import_openvino


def write_exported(network: nn.Module, metadata: dict[str, str], stem: Path, to: Format) -> list[Path]:
    """Write one network; float32, any number of pictures of one size.

    Args:
        network: uint8 (B, 3, S, S) to logits.
        metadata: As `metadata_of` gives them.
        stem: The files' name without its ending.
        to: ``onnx`` (.onnx), ``openvino`` (.xml and .bin) or ``torch_export`` (.pt2).

    Returns:
        What was written.

    Raises:
        ConfigurationError: The format is unknown, its libraries are not installed, or the network cannot be exported.
    """
    require_choice("--to", to, Format)
    program = exported_program(network, int(metadata["image_size"]))
    if to == "torch_export":
        path = stem.with_name(f"{stem.name}.pt2")
        write_whole(path, program_bytes(program, metadata))
        return [path]
    metadata = metadata | {"opset": str(OPSET)}
    content = onnx_bytes(program, metadata)
    if to == "onnx":
        path = stem.with_name(f"{stem.name}.onnx")
        write_whole(path, content)
        return [path]
    return _write_openvino(content, metadata, stem)


def _write_openvino(content: bytes, metadata: dict[str, str], stem: Path) -> list[Path]:
    """The same graph as OpenVINO keeps it; its weights stay float32."""
    openvino = import_openvino()
    # From ONNX, not by `convert_model`, which would report each conversion.
    model = openvino.Core().read_model(content)
    for name, value in metadata.items():
        model.set_rt_info(value, ["fundusseg", name])
    paths = [stem.with_name(f"{stem.name}{ending}") for ending in (".xml", ".bin")]
    with tempfile.TemporaryDirectory() as place:
        openvino.save_model(model, Path(place) / "network.xml", compress_to_fp16=False)
        for path in paths:
            write_whole(path, (Path(place) / f"network{path.suffix}").read_bytes())
    return paths


def metadata_of(description: Description, part: str, digest: str) -> dict[str, str]:
    """What a file says of itself, as text; lists and dicts are JSON.

    Args:
        description: Of the network.
        part: What the network does: ``segmenter``, ``localiser``, ``eye``, ...
        digest: SHA-256 of the bundle or checkpoint that it comes from.
    """
    preparation = description.preparation
    return {
        "part": part,
        "fundusseg": description.version,
        "checkpoint_sha256": digest,
        "input": f"{INPUT}: uint8, batch x 3 x {preparation.image_size} x {preparation.image_size}, RGB, 0 to 255",
        "output": f"{OUTPUT}: float32, batch x regions x height x width; the sigmoid gives probabilities",
        "image_size": str(preparation.image_size),
        "regions": json.dumps(list(preparation.regions)),
        "thresholds": json.dumps(description.thresholds),
        "roi": preparation.roi,
        "roi_scale": str(preparation.roi_scale),
        "clahe": json.dumps(preparation.clahe),
        "sources": json.dumps(description.all_sources),
    }
