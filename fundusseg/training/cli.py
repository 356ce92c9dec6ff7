"""The training command: every setting of data, model, trainer and callbacks, from YAML and dotted overrides."""

import os
import shlex
from collections.abc import Sequence
from typing import Any

import torch
import yaml
from lightning.pytorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
    WeightAveraging,
)
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.trainer import Trainer

from fundusseg.class_paths import other_packages
from fundusseg.cli import ErrorMixin, HelpFormatter, console
from fundusseg.data.cache_folder import default_folder
from fundusseg.data.datamodule import FundusDataModule
from fundusseg.data.earlier_training import EarlierTraining
from fundusseg.errors import ConfigurationError
from fundusseg.models import checkpoint
from fundusseg.models.redaction import without_paths
from fundusseg.training.callbacks import ContourPanel
from fundusseg.training.epoch_lines import EpochLines
from fundusseg.training.finetuning import TwoStage
from fundusseg.training.losses import needs_weights
from fundusseg.training.preemption import Preemption
from fundusseg.training.resumed_schedule import require_steps_left
from fundusseg.training.run_folder import put_below
from fundusseg.training.task import SegmentationTask
from fundusseg.xla import backend
from fundusseg.xla.compile_monitor import CompileMonitor
from fundusseg.xla.strategy import SPMDStrategy, trainer_arguments

_OF_THE_SPLIT = ("split", "split_by", "val_share", "test_share", "folds", "fold", "test_sources", "seed")
"""Settings of the data that decide who is trained on."""

_OF_THE_OPTIMISER = ("optimizer", "schedule", "loss")
"""Settings of the model that decide how it is trained: a rate that is given alone is one of the run's own optimiser."""

_OF_A_STEP = (("model", "optimizer"), ("model", "schedule"), ("model", "loss"), ("data", "batch_size"))
"""Settings that decide what a step is."""

ACCELERATORS = ("auto", "cpu", "gpu", "tpu")


def hardware(
    accelerator: Any,
    devices: Any,
    batch_size: int,
    *,
    strategy: Any = "auto",
    precision: Any = None,
    cache_dir: str | None = "auto",
) -> dict[str, Any]:
    """A Trainer's arguments of where and how to compute; for a TPU our own, unless another strategy is named.

    Args:
        accelerator: As the Trainer takes it; ``tpu``, or ``auto`` where there is one, is ours.
        devices: How many.
        batch_size: The data's.
        strategy: As the Trainer takes it.
        precision: As the Trainer takes it.
        cache_dir: Folder of compiled programs; ``auto`` is in the user's cache folder, None keeps none.

    Raises:
        ConfigurationError: There is no such device, or a setting does not suit it.
    """
    if accelerator == "tpu":
        backend.require_devices()
    if strategy == "auto" and (accelerator == "tpu" or (accelerator == "auto" and backend.has_tpu())):
        folder = str(default_folder() / "xla") if cache_dir == "auto" else cache_dir
        return trainer_arguments(devices, batch_size, precision, folder)
    return {"accelerator": accelerator, "devices": devices, "strategy": strategy}


def launched(settings: Any) -> dict[str, Any]:
    """What torchrun, or Ray in its way, has decided of a Trainer's arguments where they are left to it.

    They stand in no configuration: the same training goes on with another number of processes.

    Args:
        settings: The Trainer's as they are given.
    """
    if not torch.distributed.is_torchelastic_launched():
        return {}
    each, total = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    decided = {"devices": ("auto", each), "strategy": ("auto", "ddp"), "num_nodes": (1, total // each)}
    return {name: value for name, (left, value) in decided.items() if settings[name] == left}


class TrainingParser(ErrorMixin, LightningArgumentParser):
    """Of the entry point that is one."""


class FundusCLI(LightningCLI):
    """The training command: every argument of data, model, trainer and callbacks, from YAML and dotted overrides."""

    def __init__(self, args: Sequence[str], description: str | None = None) -> None:
        self.command = shlex.join(["python", "-m", "fundusseg.fit", *args])
        super().__init__(
            SegmentationTask,
            FundusDataModule,
            save_config_callback=SaveConfigCallback,
            save_config_kwargs={"overwrite": True},
            seed_everything_default=1,
            parser_class=TrainingParser,
            parser_kwargs={"description": description, "formatter_class": HelpFormatter},
            args=list(args),
            run=False,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the short form, the callbacks and the defaults; data decides regions, sources and size."""
        parser.add_argument(
            "--accelerator", choices=ACCELERATORS, default=None, help="Short form of --trainer.accelerator."
        )
        parser.add_argument("--devices", type=str | None, default=None, help="Short form of --trainer.devices.")
        parser.add_argument("--compile", type=bool | None, default=None, help="Short form of --model.compile.")
        parser.add_argument(
            "--xla.cache_dir",
            type=str | None,
            default="auto",
            help="Where programs compiled for a TPU are kept; null keeps none.",
        )
        parser.add_argument("--resume", type=str | None, default=None, help="Checkpoint of a run to continue.")
        parser.add_argument(
            "--start_from",
            type=str | None,
            default=None,
            help="Checkpoint whose weights alone are taken, for a training of its own on other pictures.",
        )
        parser.link_arguments("data.preparation", "model.preparation", apply_on="instantiate")
        parser.link_arguments("data.sources", "model.sources", apply_on="instantiate")
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_lightning_class_args(EarlyStopping, "early_stopping")
        # Which epoch becomes best.ckpt: the highest mean Dice of the validation pictures (`SegmentationTask` logs it).
        chosen_by = {"monitor": "val/dice", "mode": "max"}
        parser.set_defaults(
            {
                **{f"checkpoint.{key}": value for key, value in chosen_by.items()},
                **{f"early_stopping.{key}": value for key, value in chosen_by.items()},
                "checkpoint.filename": "best",
                "checkpoint.auto_insert_metric_name": False,
                "early_stopping.patience": 20,
                "trainer.max_epochs": 40,
                "trainer.enable_model_summary": False,
                "trainer.num_sanity_val_steps": 0,
                "trainer.log_every_n_steps": 10,
                "trainer.logger": {
                    "class_path": "lightning.pytorch.loggers.TensorBoardLogger",
                    "init_args": {"save_dir": "runs", "name": "", "default_hp_metric": False},
                },
            }
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Copy the short form into the trainer's argument only when it was given.

        A link of arguments would write its default over what a YAML file says.
        """
        self.config = parser.parse_args(args)
        if self.config.resume:  # what is not given is as the run had it; a default that is typed is given
            description, _ = checkpoint.load(self.config.resume)
            parser.set_defaults(_own_settings(description.configuration))
            self.config = parser.parse_args(args)
        if self.config.accelerator is not None:
            self.config.trainer.accelerator = self.config.accelerator
            self.config.accelerator = None
        if self.config.compile is not None:
            self.config.model.compile, self.config.compile = self.config.compile, None
        if self.config.devices is not None:
            devices = self.config.devices
            self.config.trainer.devices = int(devices) if devices.lstrip("-").isdigit() else devices
            self.config.devices = None

    def after_instantiate_classes(self) -> None:
        """Let the task carry the whole configuration, for its checkpoints and the logger; check before data is read."""
        callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        for callback in callbacks:
            if isinstance(callback, TwoStage):
                callback.check(self.trainer, self.model)
        self._check_pixel_weights()
        self._check_validation()
        self._check_batch_norm()
        self._take_up()
        # Averaged weights leave the network at the end of a validation: only when the others have looked at it.
        callbacks.sort(key=lambda c: (isinstance(c, Checkpoint), isinstance(c, WeightAveraging)))
        self.model.configuration = self.parser.dump(self.config, skip_unset=False)
        self.model.command = self.command
        plain = yaml.safe_load(without_paths(self.model.configuration))  # they travel in the checkpoint too
        self.model.save_hyperparameters({key: plain[key] for key in ("seed_everything", "data", "model", "trainer")})

    def _take_up(self) -> None:
        """Take up what the network has behind itself, where it starts from a checkpoint.

        Raises:
            CheckpointError: The file is none of ours, or its weights do not fit the network.
            ConfigurationError: Two checkpoints to start from.
        """
        resume, start_from = self.config.resume, self.config.start_from
        if resume and start_from:
            raise ConfigurationError("both --resume and --start_from", "one of them", "leave one out")
        if not (resume or start_from):
            return
        content = checkpoint.read(resume or start_from)
        description, weights = checkpoint.parse(content, resume or start_from)
        if start_from:
            checkpoint.fill(self.model.model, description, weights)
        else:
            changed = self._trains_otherwise(description.configuration)
            require_steps_left(content, self.config.trainer.max_epochs, self.config.trainer.max_steps, changed)
        keep = bool(resume) and not self._another_split()
        # A run that goes on with its own split has seen nothing else; where it is not known, nobody knows.
        self.model.earlier = description.earlier if keep and description.split else description.past
        if description.split is not None:
            before = tuple(split for split in description.splits[1:] if split is not None)
            self.datamodule.earlier = EarlierTraining(description.split, before, keep=keep, complete=bool(resume))

    def _trains_otherwise(self, configuration: str) -> bool:
        """Whether a setting of the steps is another than the checkpoint's."""
        before = yaml.safe_load(configuration) or {}
        now = yaml.safe_load(without_paths(self.parser.dump(self.config, skip_unset=False)))
        return any((before.get(part) or {}).get(name, now[part][name]) != now[part][name] for part, name in _OF_A_STEP)

    def _another_split(self) -> bool:
        """Whether a setting asks for a split that is not the checkpoint's, whose settings are the defaults here."""
        now, own = (
            yaml.safe_load(self.parser.dump(settings, skip_unset=False))["data"]
            for settings in (self.config, self.parser.get_defaults())
        )
        return any(now[name] != own[name] for name in _OF_THE_SPLIT)

    def _check_pixel_weights(self) -> None:
        """Weights that no loss takes, or a loss without weights, is a mistake in either."""
        stored, taken = self.datamodule.border_weights is not None, needs_weights(self.model.loss)
        if stored != taken:
            raise ConfigurationError(
                f"border weights {'for a loss that takes none' if stored else 'missing for a loss that needs them'}",
                "both or neither",
                "set --data.border_weights fundusseg.data.BorderWeights and --model.loss "
                "fundusseg.training.WeightedBCELoss, or neither",
            )

    def _check_validation(self) -> None:
        """What chooses the checkpoint, or the end, must be measured."""
        callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        chosen = [one.monitor for one in callbacks if isinstance(one, ModelCheckpoint | EarlyStopping)]
        figures = [figure for figure in chosen if figure and figure.startswith("val")]
        every, epochs = self.trainer.check_val_every_n_epoch, self.trainer.max_epochs
        never = "limit_val_batches 0" if self.trainer.limit_val_batches == 0 else ""
        if every and epochs is not None and 0 < epochs < every:
            never = f"check_val_every_n_epoch {every} for {epochs} epochs"
        if figures and never and not self.config.trainer.fast_dev_run:
            raise ConfigurationError(
                f"{never} in a training that is chosen by {figures[0]}",
                "a validation",
                f"leave --trainer.{never.split()[0]} out, or try the pipeline with --trainer.fast_dev_run true",
            )

    def _check_batch_norm(self) -> None:
        """Only GPUs can normalise over the batches of all processes."""
        trainer = self.trainer
        if self.config.trainer.sync_batchnorm and trainer.world_size > 1 and trainer.strategy.root_device.type == "cpu":
            raise ConfigurationError(
                f"--trainer.sync_batchnorm true for {trainer.world_size} processes without GPUs",
                "GPUs, which alone have it",
                "leave it out: each process then normalises over its own share of a batch",
            )

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add what each run shows; without a logger or a progress bar, what needs one is left out."""
        settings = self.config_init.trainer
        callbacks: list[Callback] = []
        if settings.logger is not False and not settings.fast_dev_run:
            callbacks += [LearningRateMonitor(logging_interval="epoch"), ContourPanel()]
        if settings.enable_checkpointing is not False and not settings.fast_dev_run:
            # Lightning's `save_last` follows the best: it would not be what a killed run goes on from.
            callbacks.append(
                ModelCheckpoint(filename="last", auto_insert_metric_name=False, enable_version_counter=False)
            )
            callbacks.append(Preemption())
        if settings.enable_progress_bar is not False:
            callbacks.append(RichProgressBar(leave=False) if console.is_terminal else EpochLines())
        where = hardware(
            settings.accelerator,
            settings.devices,
            self.datamodule.batch_size,
            strategy=settings.strategy,
            precision=settings.precision,
            cache_dir=self.config_init.xla.cache_dir,
        )
        if not isinstance(where["strategy"], SPMDStrategy):
            where |= launched(settings)
        watched = any(isinstance(callback, CompileMonitor) for callback in _listed(settings.callbacks))
        if isinstance(where["strategy"], SPMDStrategy) and not watched:
            callbacks.append(CompileMonitor())
        if where.get("plugins"):
            where["plugins"] += _listed(settings.plugins)
        self.trainer_defaults = {"callbacks": callbacks}
        put_below(settings.logger, settings.default_root_dir)
        try:
            return super().instantiate_trainer(**where, **kwargs)
        except (TypeError, ValueError) as error:
            # Lightning checks some settings itself, such as a number of nodes below one.
            raise ConfigurationError(
                f"settings that Lightning's Trainer refuses ({error})", "what --help lists", "correct --trainer"
            ) from error


def _own_settings(configuration: str) -> dict[str, Any]:
    """The settings of a run that one which goes on from it keeps, by their whole name.

    Where one names a class of a package that is not trusted, it is left to the command line, which imports what it
    names itself.
    """
    content = yaml.safe_load(configuration)
    own: dict[str, Any] = {}
    for part, names in (("data", _OF_THE_SPLIT), ("model", _OF_THE_OPTIMISER)):
        section = content.get(part) if isinstance(content, dict) else None
        if isinstance(section, dict):
            own |= {f"{part}.{name}": section[name] for name in names if name in section}
    return {name: value for name, value in own.items() if not other_packages(value)}


def _listed(given: Any) -> list[Any]:
    """None, one or several as a list."""
    return given if isinstance(given, list) else [given] if given else []
