"""What the entry points share: the command line's parser, its errors, and a CPU that does not crawl."""

import json
import logging
import re
import shlex
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import torch
import yaml
from jsonargparse import ArgumentParser
from lightning.fabric.utilities.exceptions import MisconfigurationException
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
from rich.console import Console

from fundusseg import xla
from fundusseg.cache import default_folder
from fundusseg.callbacks import ContourPanel
from fundusseg.compilations import CompileMonitor
from fundusseg.datamodule import FundusDataModule
from fundusseg.errors import ConfigurationError, FundusSegError, nearest
from fundusseg.finetuning import TwoStage
from fundusseg.losses import needs_weights
from fundusseg.preemption import Preemption
from fundusseg.task import SegmentationTask

ACCELERATORS = ("auto", "cpu", "gpu", "tpu")
console = Console(width=None if sys.stdout.isatty() else 120)
"""What the commands print on; wide enough for a table when it goes to a file."""

FIXED = {"regions", "image_size", "roi", "roi_scale", "clahe"}
"""Settings of the data that a checkpoint decides: how pictures become squares."""

TRAINING = {
    *("split", "split_by", "val_share", "test_share", "folds", "fold", "test_sources", "drop_duplicates_from"),
    *("source_weights", "samples_per_epoch", "variants", "train_augmentation", "border_weights"),
}
"""Settings of the data that only training asks for."""

_QUIET = (
    ".*does not have many workers.*",
    ".*number of training batches.*",
    ".*your dataloader is not resumable.*",  # its sampler is
    ".*exists and is not empty.*",  # a run that goes on in its folder
)


def run(main: Callable[[list[str]], int]) -> NoReturn:
    """Run an entry point: a user's mistake ends in one sentence and exit code 2, ``--debug`` shows the traceback."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    try:
        code = main([argument for argument in arguments if argument != "--debug"])
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        if debug:
            traceback.print_exc()
        print(f"fundusseg: error: {_sentence(error)}", file=sys.stderr)
        code = 2
    sys.exit(code)


def _sentence(error: Exception) -> str:
    """What to tell the user: our own sentence as it is, another library's by its kind and gist."""
    if isinstance(error, FundusSegError | MisconfigurationException):
        return " ".join(str(error).split())
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[-1].strip()} (--debug shows where)"


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
        xla.require_devices()
    if strategy == "auto" and (accelerator == "tpu" or (accelerator == "auto" and xla.has_tpu())):
        folder = str(default_folder() / "xla") if cache_dir == "auto" else cache_dir
        return xla.trainer_arguments(devices, batch_size, precision, folder)
    return {"accelerator": accelerator, "devices": devices, "strategy": strategy}


def prepare_process() -> None:
    """Make the CPU quick and the libraries quiet; before torch starts its threads, which inherit the first.

    Weights that decay towards zero become denormal numbers after a few epochs, and a CPU computes those many times
    slower: they are flushed to zero.
    """
    torch.set_flush_denormal(True)
    for message in _QUIET:
        warnings.filterwarnings("ignore", message)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger().addFilter(lambda record: "Defaulting to PJRT_DEVICE" not in record.getMessage())


class ErrorMixin:
    """A parser whose errors are ours, those of the objects it makes included."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Turn the parser's message into one sentence."""
        raise explain(message, {action.dest for action in self._actions}) from ex  # type: ignore[attr-defined]

    def instantiate(self, *args: Any, **kwargs: Any) -> Any:
        """Make the objects; where the library wraps our error in its own, ours comes out."""
        try:
            return super().instantiate(*args, **kwargs)  # type: ignore[misc]
        except (ValueError, TypeError) as error:
            raise _cause(error) from error

    instantiate_classes = instantiate  # the name that LightningCLI still calls


class Parser(ErrorMixin, ArgumentParser):
    """Of the entry points that are no LightningCLI."""


class TrainingParser(ErrorMixin, LightningArgumentParser):
    """Of the entry point that is one."""


def _cause(error: BaseException) -> BaseException:
    """Our own error among the causes, or the error itself."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, FundusSegError):
        cause = cause.__cause__
    return cause or error


def explain(message: str, settings: Iterable[str]) -> ConfigurationError:
    """Say in one sentence what jsonargparse says in several lines.

    Args:
        message: The parser's.
        settings: Names that the parser knows.
    """
    lines = [line.strip(" -") for line in message.splitlines() if line.strip(" -")]
    text = " ".join(lines).rstrip(".")
    if unknown := re.search(r"unrecognized arguments: (?:--)?([^\s=]+)", text):
        return _unknown(unknown[1], settings)
    if unknown := re.search(r"Group '(.+)' does not accept option '(.+)'", text):
        return _unknown(f"{unknown[1]}.{unknown[2]}", settings)
    if unknown := re.search(r"Option '(.+)' is not accepted", text):
        return _unknown(unknown[1], ())
    if path := re.search(r"Problem with given class_path '(.+?)'", text):
        return _unknown_class(
            path[1], lines[min(1 + next(i for i, x in enumerate(lines) if path[0] in x), len(lines) - 1)]
        )
    if path := re.search(r"Expected a dot import path string: (\S+)", text):
        return ConfigurationError(f"{path[1]!r} for {_key(text)}", "a class by its import path", "see --help")
    if missing := re.search(r"arguments are required: (.+)", text):
        return ConfigurationError(f"no {missing[1]}", f"--{missing[1]} on the command line", "give it")
    if union := re.search(r"Union subtypes.*Given value: (.+)$", text):
        choices = [
            choice for quoted in re.findall(r"Literal\[(.*?)\]", text) for choice in re.findall("'(.+?)'", quoted)
        ]
        expected = f"one such as {nearest(union[1], choices)}" if choices else "a value of the kind that --help shows"
        return ConfigurationError(f"{union[1]!r} for {_key(text)}", expected, "correct it")
    if wrong := re.search(r"Expected an? <class '(\w+)'>. Got value: (.+)$", text):
        return ConfigurationError(f"{wrong[2]!r} for {_key(text)}", f"a value of type {wrong[1]}", "correct it")
    return ConfigurationError(text.replace("Parser key ", ""), "a setting as --help lists it", "correct it")


def _unknown(name: str, settings: Iterable[str]) -> ConfigurationError:
    close = nearest(name, settings) if settings else ""
    return ConfigurationError(
        f"an unknown setting {name!r}", f"one such as {close}" if close else "one that its class takes", "see --help"
    )


def _unknown_class(path: str, reason: str) -> ConfigurationError:
    module, _, name = path.rpartition(".")
    try:
        names = [public for public in dir(import_module(module)) if public[0] != "_"]
    except (ImportError, ValueError):
        names = []
    expected = f"a class such as {nearest(name, names)} of {module}" if names else "a class that can be imported"
    return ConfigurationError(f"class {path!r} ({reason.rstrip('.')})", expected, "correct the class_path")


def _key(text: str) -> str:
    found = re.search(r'Parser key "([^"]+)"', text)
    return found[1] if found else "a setting"


def data_section(config: str | None, configuration: str = "") -> dict[str, Any]:
    """The data section of a YAML file, or of a checkpoint's own configuration where no file is given.

    Raises:
        ConfigurationError: The file cannot be read, or there is no such section.
    """
    try:
        text = configuration if config is None else Path(config).read_text(encoding="utf-8")
        section = (yaml.safe_load(text) or {}).get("data")
    except (OSError, yaml.YAMLError, AttributeError) as error:
        raise ConfigurationError(
            f"a configuration that cannot be read: {config} ({type(error).__name__})",
            "a YAML file with a data section",
            "check --config",
        ) from error
    if not isinstance(section, dict):
        raise ConfigurationError(
            f"no data section in {config or 'the checkpoint'}", "which datasets to take", "give one with --config"
        )
    return section


def scored_data(command: Parser, arguments: Sequence[str], config: str | None, configuration: str) -> Any:
    """The command's settings, with data from a YAML file or a checkpoint below what the command line says.

    What the checkpoint or only training decides is left out; ``command`` takes the rest as ``data``.

    Raises:
        ConfigurationError: As `data_section`.
    """
    section = data_section(config, configuration)
    data = {key: value for key, value in section.items() if key not in FIXED | TRAINING}
    return command.instantiate(command.parse_args(["--data", json.dumps(data), *arguments]))


class FundusCLI(LightningCLI):
    """The training command: every argument of data, model, trainer and callbacks, from YAML and dotted overrides."""

    def __init__(self, args: Sequence[str]) -> None:
        self.command = shlex.join(["python", "-m", "fundusseg.fit", *args])
        super().__init__(
            SegmentationTask,
            FundusDataModule,
            save_config_callback=SaveConfigCallback,
            save_config_kwargs={"overwrite": True},
            seed_everything_default=1,
            parser_class=TrainingParser,
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
        parser.add_argument(
            "--xla.cache_dir",
            type=str | None,
            default="auto",
            help="Where programs compiled for a TPU are kept; null keeps none.",
        )
        parser.add_argument("--resume", type=str | None, default=None, help="Checkpoint of a run to continue.")
        parser.link_arguments("data.preparation", "model.preparation", apply_on="instantiate")
        parser.link_arguments("data.sources", "model.sources", apply_on="instantiate")
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_lightning_class_args(EarlyStopping, "early_stopping")
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
        if self.config.accelerator is not None:
            self.config.trainer.accelerator = self.config.accelerator
            self.config.accelerator = None
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
        # Averaged weights leave the network at the end of a validation: only when the others have looked at it.
        callbacks.sort(key=lambda c: (isinstance(c, Checkpoint), isinstance(c, WeightAveraging)))
        self.model.configuration = self.parser.dump(self.config, skip_unset=False)
        self.model.command = self.command
        plain = yaml.safe_load(self.model.configuration)
        self.model.save_hyperparameters({key: plain[key] for key in ("seed_everything", "data", "model", "trainer")})

    def _check_pixel_weights(self) -> None:
        """Weights that no loss takes, or a loss without weights, is a mistake in either."""
        stored, taken = self.datamodule.border_weights is not None, needs_weights(self.model.loss)
        if stored != taken:
            raise ConfigurationError(
                f"border weights {'for a loss that takes none' if stored else 'missing for a loss that needs them'}",
                "both or neither",
                "set --data.border_weights fundusseg.border.BorderWeights and --model.loss "
                "fundusseg.losses.WeightedBCELoss, or neither",
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
            callbacks.append(RichProgressBar(leave=False))
        where = hardware(
            settings.accelerator,
            settings.devices,
            self.datamodule.batch_size,
            strategy=settings.strategy,
            precision=settings.precision,
            cache_dir=self.config_init.xla.cache_dir,
        )
        watched = any(isinstance(callback, CompileMonitor) for callback in _listed(settings.callbacks))
        if isinstance(where["strategy"], xla.SPMDStrategy) and not watched:
            callbacks.append(CompileMonitor())
        if where.get("plugins"):
            where["plugins"] += _listed(settings.plugins)
        self.trainer_defaults = {"callbacks": callbacks}
        return super().instantiate_trainer(**where, **kwargs)


def _listed(given: Any) -> list[Any]:
    """None, one or several as a list."""
    return given if isinstance(given, list) else [given] if given else []
