"""What the entry points share: the command line's parser, its errors, and a CPU that does not crawl."""

import re
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
from jsonargparse import ArgumentParser
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint, RichProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.trainer import Trainer
from rich.console import Console

from fundusseg.callbacks import ContourPanel
from fundusseg.datamodule import FundusDataModule
from fundusseg.errors import ConfigurationError, FundusSegError, nearest
from fundusseg.task import SegmentationTask

ACCELERATORS = ("auto", "cpu", "gpu", "tpu")
console = Console()

_QUIET = (
    ".*does not have many workers.*",
    ".*number of training batches.*",
    ".*LeafSpec.*",
    ".*ckpt_path.*best.*",
    ".*litlogger.*",
)


def run(main: Callable[[list[str]], int]) -> NoReturn:
    """Run an entry point: a user's mistake ends in one sentence and exit code 2, ``--debug`` shows the traceback."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    try:
        code = main([argument for argument in arguments if argument != "--debug"])
    except KeyboardInterrupt:
        code = 130
    except (FundusSegError, MisconfigurationException, OSError) as error:
        if debug:
            traceback.print_exc()
        print(f"fundusseg: error: {' '.join(str(error).split())}", file=sys.stderr)
        code = 2
    sys.exit(code)


def quicken_cpu() -> None:
    """Flush denormal numbers to zero, before torch starts its threads: they inherit it.

    Weights that decay towards zero become denormal after a few epochs, and a CPU computes those many times slower.
    """
    torch.set_flush_denormal(True)
    for message in _QUIET:
        warnings.filterwarnings("ignore", message)


class ErrorMixin:
    """A parser whose errors are ours: one sentence, with the nearest known argument for an unknown one."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Turn the parser's message into one sentence."""
        raise _explain(message, self) from ex  # type: ignore[arg-type]


class Parser(ErrorMixin, ArgumentParser):
    """Of the entry points that are no LightningCLI."""


class TrainingParser(ErrorMixin, LightningArgumentParser):
    """Of the entry point that is one."""


def _explain(message: str, parser: ArgumentParser) -> ConfigurationError:
    """Say in one sentence what the parser found."""
    text = " ".join(message.split())
    unknown = re.search(
        r"(?:[Kk]ey|[Uu]nrecognized arguments?:|[Uu]nexpected.*?)\s*[\"']?(?:--)?([\w.]+)", text
    )
    if unknown and re.search(r"is not expected|[Uu]nrecognized|not accepted|does not exist", text):
        key = unknown.group(1)
        known = {action.dest for action in parser._actions if action.dest}
        return ConfigurationError(
            f"an unknown setting {key!r}", f"one such as {nearest(key, known)}", "see --help"
        )
    return ConfigurationError(text.rstrip("."), "a setting of the kind that --help lists", "correct it")


class FundusCLI(LightningCLI):
    """The training command: every argument of data, model, trainer and callbacks, from YAML and dotted overrides."""

    def __init__(self, args: Sequence[str]) -> None:
        super().__init__(
            SegmentationTask,
            FundusDataModule,
            save_config_callback=SaveConfigCallback,
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
                "checkpoint.save_last": True,
                "checkpoint.auto_insert_metric_name": False,
                "early_stopping.patience": 20,
                "trainer.max_epochs": 12,
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

    def after_instantiate_classes(self) -> None:
        """Let the task carry the whole configuration, for its checkpoints and the logger."""
        self.model.configuration = self.parser.dump(self.config, skip_none=False)
        self.model.save_hyperparameters({"configuration": self.config.as_dict()["data"]})

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add what each run shows; without a logger or a progress bar, what needs one is left out."""
        settings = self.config_init.trainer
        callbacks = []
        if settings.logger is not False and not settings.fast_dev_run:
            callbacks += [LearningRateMonitor(logging_interval="step"), ContourPanel()]
        if settings.enable_progress_bar is not False:
            callbacks.append(RichProgressBar(leave=False))
        self.trainer_defaults = {"callbacks": callbacks}
        return super().instantiate_trainer(**kwargs)
