"""No path of the machine that trained is left in what a checkpoint says."""

import shlex

import pytest

from fundusseg.models.redaction import command_without_paths, without_paths


@pytest.mark.parametrize(
    "path", ["/home/ann/eyes", "~/ann/eyes", "../ann/eyes", "C:\\ann\\eyes", "\\\\server\\ann\\eyes", "ann/eyes"]
)
def test_every_kind_of_path_is_its_last_part(path):
    said = without_paths(f"data: {{datasets: [{{init_args: {{root: '{path}', csv: '{path}'}}}}], root: '{path}'}}")
    assert "ann" not in said and said.count("eyes") == 2
    words = ["--data.root", path, f"--data.split={path}", f"--data.datasets=[{{init_args: {{root: '{path}'}}}}]"]
    words += ["--config", path, "--segmenters", path, path, f"--output={path}", "--localiser", path]
    assert "ann" not in command_without_paths(shlex.join(["fit", *words]))


def test_what_is_no_path_stays():
    configuration = "checkpoint: {monitor: val/dice}\nmodel: {model: {class_path: fundusseg.models.UNet}}\n"
    assert without_paths(configuration) == configuration
    command = "python -m fundusseg.fit --config merged.yaml --checkpoint.monitor=val/dice"
    assert command_without_paths(command) == command
    assert without_paths("") == "" and command_without_paths("") == ""
