"""A stopped training and the same command again: the weights, the losses and the files of one that was not stopped."""

import json
import re
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torchmetrics import MeanMetric

from fundusseg.data.sampling import SourceSampler
from fundusseg.errors import ConfigurationError
from fundusseg.training.preemption import AGREE_EVERY, EXIT_CODE, Preemption, _set_metrics, _sums
from tests.support.interruption import MOMENT
from tests.support.stopped_run import (
    assert_same_run,
    checkpoints,
    command,
    content,
    differences,
    logged,
    run_alone,
    run_here,
    start,
)
from tests.support.virtual import on_devices

pytestmark = pytest.mark.slow

WEIGHTS = ("state_dict", "current_model_state", "optimizer_states")


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cache) -> Path:
    """A run that was not stopped."""
    folder = tmp_path_factory.mktemp("whole")
    assert run_here(folder, command(cache)) == 0
    assert checkpoints(folder) == {f"runs/version_0/checkpoints/{name}.ckpt" for name in ("best", "last")}
    return folder


def test_stopped_anywhere_the_same_command_continues_to_the_same_weights(whole, cache, tmp_path, capsys):
    # In the first epoch; in its last batch; in a validation; in the last validation; in the test.
    for moment in ("train:2", "train:3", "val:1", "train:2", "val:1", "test:1"):
        assert run_here(tmp_path, command(cache), moment) == EXIT_CODE, moment
        said = capsys.readouterr().out
        saved = next((tmp_path / "runs" / "version_0").glob("preempted-*.ckpt"))
        assert f"saved in runs/version_0/{saved.name}: the same command continues from there" in said
    assert run_here(tmp_path, command(cache)) == 0
    assert "Continues the run in runs/version_0" in capsys.readouterr().out
    assert_same_run(whole, tmp_path)


def test_stopped_by_the_keyboard_the_same_command_continues(whole, cache, tmp_path, capsys):
    for moment in ("train:2", "val:1", "test:1"):
        assert run_here(tmp_path, command(cache), moment, "SIGINT") == 130, moment
        said = capsys.readouterr().out
        saved = next((tmp_path / "runs" / "version_0").glob("preempted-*.ckpt"))
        assert f"Stopped by Ctrl-C and saved in runs/version_0/{saved.name}: the same command continues" in said
    assert run_here(tmp_path, command(cache)) == 0
    assert_same_run(whole, tmp_path)


def test_the_keyboard_is_not_heard_where_whoever_started_it_ignores_it(whole, cache, tmp_path):
    # As in a shell's background: Ctrl-C is meant for what stands in front.
    heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for moment in ("train:2", "test:1"):
            assert run_here(tmp_path / moment[:4], command(cache), moment, "SIGINT") == 0
            assert_same_run(whole, tmp_path / moment[:4])
    finally:
        signal.signal(signal.SIGINT, heard)


def test_a_second_time_the_keyboard_ends_it_at_once(cache, tmp_path, capsys):
    assert run_here(tmp_path, command(cache), "train:2", "SIGINT SIGINT") == 130
    assert "Stopped by Ctrl-C; nothing was saved." in capsys.readouterr().out
    assert run_here(tmp_path, command(cache), "train:7", "SIGINT SIGINT") == 130
    assert re.search(r"since the last epoch is lost: --resume \S+last\.ckpt continues", capsys.readouterr().out)


@pytest.mark.parametrize(("signals", "code", "name"), [("SIGTERM", EXIT_CODE, "SIGTERM"), ("SIGINT", 130, "Ctrl-C")])
def test_a_stopped_process_with_workers_and_the_same_command_again(signals, code, name, whole, cache, tmp_path):
    # The signal goes to the whole group, worker processes included.
    arguments = command(cache, "--data.num_workers=2", group=True)
    stopped = run_alone(tmp_path, arguments, "train:8", signals)
    assert (stopped.returncode, stopped.stderr.count("Traceback")) == (code, 0), stopped.stderr
    assert stopped.stdout.splitlines()[-1].startswith(f"Stopped by {name} and saved in runs/version_0/preempted-")
    continued = run_alone(tmp_path, arguments)
    assert continued.returncode == 0, continued.stderr
    for name in ("best.ckpt", "last.ckpt"):
        parts = [{key: content(folder, name)[key] for key in WEIGHTS} for folder in (whole, tmp_path)]
        assert not differences(*parts)
    assert logged(whole) == logged(tmp_path)


MANNERS = {
    "accumulated gradients": (["--trainer.accumulate_grad_batches=2"], ["train:1", "train:2"]),
    "validation within an epoch": (["--trainer.val_check_interval=2"], ["train:2", "val:1", "train:3"]),
    "steps counted": (["--trainer.max_steps=12", "--trainer.max_epochs=-1"], ["train:2", "train:3", "val:1"]),
    "early stopping": (["--early_stopping.patience=1", "--early_stopping.min_delta=1"], ["train:7", "val:1", "test:1"]),
    "plateau": (["--model.schedule=fundusseg.training.Plateau", "--model.schedule.patience=0"], ["val:1", "val:1"]),
}


@pytest.mark.parametrize("manner", MANNERS)
def test_in_any_manner_of_training(manner, cache, tmp_path):
    arguments, moments = MANNERS[manner]
    assert run_here(tmp_path / "whole", command(cache, *arguments)) == 0
    for moment in moments:
        assert run_here(tmp_path / "stopped", command(cache, *arguments), moment) == EXIT_CODE, moment
    assert run_here(tmp_path / "stopped", command(cache, *arguments)) == 0
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_only_the_same_configuration_continues(cache, tmp_path):
    assert run_here(tmp_path, command(cache), "train:2") == EXIT_CODE
    assert run_here(tmp_path, command(cache, "--trainer.max_epochs=2")) == 0
    runs = tmp_path / "runs"
    assert sorted(path.name for path in runs.iterdir()) == ["version_0", "version_1"]
    assert run_here(tmp_path, [f"--config={runs / 'version_0' / 'config.yaml'}"]) == 0, "the saved one is the same"
    assert (runs / "version_0" / "test.json").is_file() and not list(tmp_path.rglob("preempted*"))
    assert run_here(tmp_path, command(cache)) == 0, "a third time starts afresh"
    assert (runs / "version_2" / "checkpoints" / "last.ckpt").is_file()


def test_a_given_checkpoint_comes_first(cache, tmp_path, capsys):
    assert run_here(tmp_path, command(cache), "train:7") == EXIT_CODE
    last = tmp_path / "runs" / "version_0" / "checkpoints" / "last.ckpt"
    resuming = command(cache, f"--resume={last}")
    capsys.readouterr()
    assert run_here(tmp_path, resuming, "train:3") == EXIT_CODE
    assert "Continues" not in capsys.readouterr().out
    assert run_here(tmp_path, resuming) == 0, "its own goes on where it was stopped"
    assert "Continues the run in runs/version_1" in capsys.readouterr().out
    (saved,) = tmp_path.rglob("preempted*")  # the first command's is still there
    changed = torch.load(saved, weights_only=True)
    key = next(iter(changed["fundusseg"]["split"]["files"]))
    changed["fundusseg"]["split"]["files"][key] = "another digest"
    torch.save(changed, saved)
    with pytest.raises(ConfigurationError, match=f"data that have changed.* remove .*{saved.name} to start afresh"):
        run_here(tmp_path, command(cache))


def test_a_sampler_goes_on_behind_what_was_taken():
    whole, resumed = (SourceSampler([0] * 9 + [1] * 3, [1, 1], seed=3, length=20) for _ in range(2))
    resumed.resume(1, 5)
    whole.set_epoch(1)
    assert list(resumed) == list(whole)[5:] and len(resumed) == 20
    for sampler in (whole, resumed):
        sampler.set_epoch(2)
    assert list(resumed) == list(whole)


def test_processes_share_an_epoch():
    whole, *shares = (SourceSampler(range(11), None, 3, None, *share) for share in ((1, 0), (2, 0), (2, 1)))
    assert [draw for pair in zip(*shares, strict=True) for draw in pair] == list(whole)[:10]
    shares[1].resume(0, 2)
    assert list(shares[1]) == list(whole)[1:10:2][2:]


def test_hosts_of_one_program_all_take_up_its_metrics():
    saved = {"loss": {"mean_value": torch.tensor(3.0), "weight": torch.tensor(2.0)}}
    for processes, rank, mine in ((1, 0, True), (1, 1, True), (2, 0, True), (2, 1, False)):
        task = torch.nn.ModuleDict({"loss": MeanMetric()})
        _set_metrics(task, saved, _sums(SimpleNamespace(world_size=processes, is_global_zero=rank == 0)))
        assert bool(task["loss"].weight) == mine


def test_a_process_alone_asks_nobody_and_several_ask_each():
    asked = []
    strategy = SimpleNamespace(reduce_boolean_decision=lambda decision, all: asked.append(decision) or True)
    connector = SimpleNamespace(received_sigterm=None)
    progress = SimpleNamespace(current=SimpleNamespace(ready=1))
    trainer = SimpleNamespace(
        strategy=strategy,
        world_size=1,
        accumulate_grad_batches=1,
        is_last_batch=False,
        max_steps=-1,
        global_step=AGREE_EVERY,
        fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress)),
        _signal_connector=connector,
    )
    Preemption().on_train_batch_end(trainer)
    assert (asked, connector.received_sigterm) == ([], False)
    strategy.share = (1, 2)  # the second host of a pod, whose first was told
    Preemption().on_train_batch_end(trainer)
    assert (asked, connector.received_sigterm) == ([False], True)


RUNS = f"""
import json, os, sys
from fundusseg import fit
for folder, moment, code, arguments in json.loads(sys.argv[1]):
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    os.environ["{MOMENT}"] = moment
    assert fit.main(arguments) == code
"""


@on_devices
def test_on_virtual_xla_devices_too(cache, tmp_path):
    averaged = "{class_path: fundusseg.training.AveragedWeights, init_args: {decay: 0.8}}"
    common = command(
        cache, "--accelerator=tpu", "--data.batch_size=4", "--model.model.depth=1", "--trainer.max_epochs=2"
    )
    common.append(f"--trainer.callbacks=[{{class_path: tests.support.interruption.Interruption}}, {averaged}]")
    environment = {"PJRT_DEVICE": "CPU", "CPU_NUM_DEVICES": "2", "XLA_FLAGS": "--xla_backend_optimization_level=0"}
    runs: list[list[Any]] = [[], []]  # of the process that is stopped, and of the one after it
    for resident in ("false", "true"):
        arguments = [*common, f"--data.device_resident={resident}"]
        whole, stopped = (str(tmp_path / resident / name) for name in ("whole", "stopped"))
        runs[0] += [(whole, "", 0, arguments), (stopped, "train:6", EXIT_CODE, arguments)]
        runs[1] += [(stopped, "", 0, arguments)]
    for batch in runs:
        run = start(tmp_path, "-c", RUNS, json.dumps(batch), **environment)
        assert run.returncode == 0, run.stdout + run.stderr
        waits = re.findall(r"graphs compiled .*; waits for a number (.*)$", run.stdout, re.M)
        assert waits and all(set(wait.split()) == {"0"} for wait in waits), "averaging reads no count"
    for resident in ("false", "true"):
        for name in ("best.ckpt", "last.ckpt"):
            parts = [
                {key: content(tmp_path / resident / folder, name)[key] for key in WEIGHTS}
                for folder in ("whole", "stopped")
            ]
            assert not differences(*parts, tolerance=1e-5)
