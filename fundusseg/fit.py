"""Train, choose the best checkpoint on validation patients, test it once.

    python -m fundusseg.fit
    python -m fundusseg.fit --config configs/merged.yaml --data.root FOLDER
    python -m fundusseg.fit --config configs/merged.yaml --data.root FOLDER --accelerator gpu
    python -m fundusseg.fit --config runs/version_0/config.yaml --resume runs/version_0/checkpoints/last.ckpt
    python -m fundusseg.fit --config mine.yaml --data.root FOLDER --start_from best.ckpt
    torchrun --nproc_per_node 4 -m fundusseg.fit --config mine.yaml --accelerator gpu
    python -m fundusseg.fit --config mine.yaml --accelerator gpu --cluster auto --cluster_jobs 8 --cluster_gpus 1

Without arguments it needs no data: it trains on synthetic photographs. Any argument can be set in the YAML file or on
the command line; the whole resolved configuration is saved beside the checkpoint and runs again as it is.

SIGTERM or Ctrl-C stops a training after the next whole step (in a validation, after the epoch) and saves it; the same
command continues it in the same run folder, within the epoch: to the same weights bit for bit on a CPU with as many
threads, to 1e-5 on XLA devices. One that is killed continues from its last whole epoch. A run is recognised by its
resolved configuration, and refused where its data have changed; a finished run starts afresh. --resume goes on from a
checkpoint under that checkpoint's own split; --start_from takes its weights alone, for other data, and carries along
what it was trained and chosen on.

Several processes, on one machine or on many, draw what one would, and share each batch of --data.batch_size;
--trainer.sync_batchnorm true, on GPUs, normalises over all of it. Losses are those of one process to 1e-5 where every
picture labels every region. torchrun says how many there are, Slurm needs --trainer.devices and --trainer.num_nodes
too. Ray (the extra `cluster`) starts them by --cluster local, auto (the cluster this machine belongs to) or HOST:PORT:
--cluster_jobs processes [as many as fit], each of --cluster_cpus [1] cores and --cluster_gpus [0] GPUs.
All see the same folders.
"""

import shutil
import signal
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from traceback import extract_tb
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from fundusseg.cli import console, run
from fundusseg.cluster.resources import take_resources
from fundusseg.data.splits import SUBSETS
from fundusseg.errors import CheckpointError, ConfigurationError, FundusSegError
from fundusseg.models import checkpoint, count_parameters
from fundusseg.reports.files import write_scores, write_text
from fundusseg.reports.model_card import card_path, model_card_text
from fundusseg.reports.progress import progress
from fundusseg.reports.tables import Markdown, Score, code_span, markdown_table, source_table, terminal_table
from fundusseg.training.callbacks import PictureScores
from fundusseg.training.cli import FundusCLI
from fundusseg.training.preemption import Preemption
from fundusseg.training.run_folder import claim
from fundusseg.xla.process import prepare_process

CONSTANT = (
    "The prediction of {} is the same for every {} picture: the network has learnt nothing to evaluate. Train longer, "
    "change the learning rate, and look at the labels with `python -m fundusseg.prepare`."
)


def main(arguments: list[str]) -> int:
    """Fit and test; returns the exit code."""
    resources, arguments = take_resources(arguments, "each process of a training")
    if resources is not None:
        from fundusseg.cluster.training import fit_on_cluster

        return fit_on_cluster(arguments, resources)
    prepare_process()
    cli = FundusCLI(arguments, __doc__)
    cli.datamodule.watch = _watch
    if cli.datamodule.earlier is not None:  # who is trained on depends on the pictures themselves
        cli.datamodule.setup()
    _say_what_is_trained(cli)
    preemption = Preemption.of(cli.trainer)
    saved = preemption.find(cli.trainer, cli.model) if preemption else None
    if saved:
        console.print(f"Continues the run in {saved.parent}, which was stopped.", soft_wrap=True)
    folder = claim(cli.trainer) if cli.trainer.is_global_zero and not saved else None
    try:
        code = _fit_and_test(cli, saved or cli.config.resume)
    except SIGTERMException:
        return _stopped(cli, preemption.signal if preemption else signal.SIGTERM)
    except SystemExit:  # what Lightning makes of Ctrl-C, where it is not ours to save
        if not cli.trainer.interrupted:
            raise
        return _stopped(cli, signal.SIGINT)
    finally:
        if folder is not None and not (folder / "config.yaml").exists():  # refused before its first step
            shutil.rmtree(folder, ignore_errors=True)
    if preemption and code == 0:
        preemption.forget(cli.trainer)
    return code


def _watch(source: str, total: int) -> AbstractContextManager[Callable[[], None]]:
    """Show how far a source's preparation is."""
    return progress(total, 0, console, f"photographs of {source}")


def _stopped(cli: FundusCLI, number: signal.Signals) -> int:
    """Say by what the run was stopped and how to go on; the exit code of a process that the signal ended."""
    preemption = Preemption.of(cli.trainer)
    last = Path(getattr(cli.trainer.checkpoint_callback, "dirpath", None) or "") / "last.ckpt"
    how = "; nothing was saved"
    if preemption and preemption.saved:
        how = f" and saved in {preemption.saved}: the same command continues from there"
    elif last.is_file():
        how = f"; what has been trained since the last epoch is lost: --resume {last} continues from there"
    if cli.trainer.is_global_zero:
        name = "Ctrl-C" if number == signal.SIGINT else number.name
        console.print(f"Stopped by {name}{how}.", soft_wrap=True)
    return 128 + number


def _fit_and_test(cli: FundusCLI, resume: str | Path | None) -> int:
    """Train, from a checkpoint where one is given, and test once; returns the exit code."""
    steps = _Steps()
    cli.trainer.callbacks += [_Doubts(), steps]  # type: ignore[attr-defined]
    try:
        cli.trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=resume)
    except FundusSegError:
        raise
    except Exception as error:
        # Only what restores a training reads the file's many parts, and each may be damaged.
        files = {Path(frame.filename).stem for frame in extract_tb(error.__traceback__)}
        if resume is None or "checkpoint_connector" not in files:
            raise
        raise CheckpointError(
            f"a checkpoint from which a training cannot go on ({type(error).__name__}): {str(resume)!r}",
            "a whole last.ckpt that `fit` wrote, of the same network",
            "give it, or begin anew without --resume",
        ) from error
    best = getattr(cli.trainer.checkpoint_callback, "best_model_path", "")
    folder = Path(cli.trainer.log_dir or cli.trainer.default_root_dir)
    if not best:
        if resume and not steps.begun:
            (folder / "config.yaml").unlink(missing_ok=True)  # the folder goes, as of any run without a step
            raise ConfigurationError(
                f"a run that has trained to its end, without the best checkpoint that belongs to {str(resume)!r}",
                "that checkpoint, to be tested again, or something left to train",
                "lay it beside, raise --trainer.max_epochs, or score what there is with `evaluate --checkpoint`",
            )
        return 0  # a trial run: --trainer.fast_dev_run, or checkpoints switched off
    pictures = PictureScores()
    if cli.datamodule.split.test:
        cli.trainer.callbacks.append(pictures)  # type: ignore[attr-defined]
        cli.trainer.test(cli.model, datamodule=cli.datamodule, ckpt_path=best, verbose=False)
    if cli.trainer.is_global_zero:
        cli.datamodule.split.save(folder / "split.json")
        scores = pictures.with_intervals(cli.model.results.get("test", []), cli.datamodule)
        _write_cards(cli, Path(best), scores)
        _say_what_came_out(cli, Path(best), folder, scores)
    return 0


class _Steps(Callback):
    """Whether there was anything to train."""

    begun = False

    def on_train_batch_start(self, trainer: Trainer, *args: Any) -> None:
        """There is."""
        self.begun = True


class _Doubts(Callback):
    """Says before the first step which labels are doubtful."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print a line for each source, where there is one, on the first process."""
        lines = trainer.datamodule.doubtful() if trainer.is_global_zero else []  # type: ignore[attr-defined]
        for line in lines:
            console.print(
                f"{line} (`python -m fundusseg.prepare` names them)", style="yellow", soft_wrap=True, markup=False
            )


def _protocol(cli: FundusCLI) -> str:
    """How the test's scores come about."""
    return f"{cli.model.preparation.protocol}; {cli.datamodule.split.protocol}"


def _write_cards(cli: FundusCLI, best: Path, scores: Sequence[Score]) -> None:
    """Write a model card beside every checkpoint of the run; the best one's holds the test."""
    for path in sorted(best.parent.glob("*.ckpt")):
        description, _ = checkpoint.load(path)
        doubtful = [f"Labels: {line}." for line in cli.datamodule.doubtful()]
        text = model_card_text(path.name, {"segmenter": description}, remarks=doubtful)
        if path == best:
            command = code_span(f"python -m fundusseg.evaluate --checkpoint {path.name}")
            remark = Markdown(_constant(cli) or f"{command} scores it at the photographs' own size.")
            table = markdown_table(*source_table(scores)) if scores else ""
            text = model_card_text(path.name, {"segmenter": description}, table, [_protocol(cli)], [remark, *doubtful])
        write_text(text, card_path(path))


def _constant(cli: FundusCLI) -> str:
    """A sentence where all pictures of the test, or without one of the validation, have the same prediction."""
    stage, pictures = ("test", "test") if "test" in cli.model.constant else ("val", "validation")
    regions = cli.model.constant.get(stage)
    return CONSTANT.format(" and ".join(regions), pictures) if regions else ""


def _say_what_is_trained(cli: FundusCLI) -> None:
    """Print network, sources and the size of each subset."""
    total, trainable = count_parameters(cli.model.model)
    sizes = ", ".join(f"{len(cli.datamodule.split.keys(subset))} {subset}" for subset in SUBSETS)
    console.print(f"Network: {type(cli.model.model).__name__}, {total:,} parameters, {trainable:,} trainable")
    console.print(f"Pictures: {sizes}, from {', '.join(cli.datamodule.sources)}", soft_wrap=True)
    for dataset in cli.datamodule.datasets:
        if remarks := dataset.remarks():
            console.print(f"{dataset.source}: {'; '.join(remarks)}", soft_wrap=True, markup=False, highlight=False)


def _say_what_came_out(cli: FundusCLI, best: Path, folder: Path, scores: Sequence[Score]) -> None:
    """Print the table, where the files lie, and what to type next."""
    preparation, protocol = cli.model.preparation, _protocol(cli)
    if scores:
        write_scores(scores, protocol, folder / "test")
        console.print(terminal_table(*source_table(scores, stacked=True), f"Test of {best}", protocol))
    else:
        console.print("No patient was set apart for a test: nothing was tested.")
    console.print(f"Configuration, split, scores and TensorBoard files: {folder}", soft_wrap=True)
    console.print(f"Model card: {card_path(best)}", soft_wrap=True)
    if dropped := cli.datamodule.split.dropped:
        console.print(f"Left out, shown in another source or subset too: {', '.join(dropped)}", soft_wrap=True)
    if constant := _constant(cli):
        console.print(constant, style="red", soft_wrap=True)
        return
    pictures = "DISC_CROPS" if preparation.roi == "disc" else "PHOTOGRAPHS"
    console.print("Next:", style="bold")
    for command in (
        f"tensorboard --logdir {folder}",
        f"python -m fundusseg.evaluate --checkpoint {best}",
        f"python -m fundusseg.predict --checkpoint {best} {pictures} --output predictions",
    ):
        console.print(f"  {command}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    run(main)
