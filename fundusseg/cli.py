"""What the commands share: the parser, its errors in one sentence, the console. No torch, no Lightning."""

import errno
import io
import json
import signal
import sys
import traceback
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace
from rich.console import Console

from fundusseg.class_paths import check_trusted, renew, trust
from fundusseg.errors import ConfigurationError, FundusSegError
from fundusseg.parser_errors import explain, unusable, with_whole_name

console = Console(width=None if sys.stdout.isatty() else 120)
"""What the commands print on; wide enough for a table when it goes to a file."""

FIXED = {"regions", "image_size", "roi", "roi_scale", "clahe", "fusion"}
"""Settings of the data that a checkpoint decides: how pictures become squares, and experts one ground truth."""

TRAINING = {
    *("split", "split_by", "val_share", "test_share", "folds", "fold", "test_sources", "drop_duplicates_from"),
    *("source_weights", "balance_ratios", "samples_per_epoch", "variants", "train_augmentation", "border_weights"),
    *("batch_size", "eval_augmentation", "seed", "num_workers", "cache_dir", "device_resident"),
}
"""Settings of the data that only training asks for: scoring reads whole photographs, one after the other."""


_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
"""What the system says of a full disk, a quota that is used up, and a file larger than it may be."""


def run(main: Callable[[list[str]], int]) -> NoReturn:
    """Run an entry point: a user's mistake ends in one sentence and exit code 2, ``--debug`` shows the traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file's name need not be in the console's code page: it must not end a run that is done.
            stream.reconfigure(errors="backslashreplace")
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    try:
        code = main([argument for argument in arguments if argument != "--debug"])
    except KeyboardInterrupt:
        print("fundusseg: stopped by Ctrl-C", file=sys.stderr)
        code = 130
    except Exception as error:
        if debug:
            traceback.print_exc()
        print(f"fundusseg: error: {_sentence(error)}", file=sys.stderr)
        code = 2
    sys.exit(code)


def stop_signals() -> list[signal.Signals]:
    """What this process is stopped by: SIGTERM, and Ctrl-C unless whoever started it ignores that.

    A shell does so to what a script runs in the background: Ctrl-C is meant for what stands in front.
    """
    heard = signal.getsignal(signal.SIGINT) != signal.SIG_IGN
    return [signal.SIGTERM, signal.SIGINT] if heard else [signal.SIGTERM]


def in_one_sentence(error: BaseException) -> str | None:
    """What an error says where it is a user's to mend and says how; None for any other.

    Lightning's own error for a wrong setting is known by its name: importing it would load torch.
    """
    if isinstance(error, FundusSegError) or type(error).__name__ == "MisconfigurationException":
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno in _FULL:
        where = error.filename or "a file"
        return f"got no room for {where} ({error.strerror}); expected a disk with space; free some and try again."
    if isinstance(error, MemoryError):
        return f"got sizes that need more memory than there is ({error}); expected smaller ones; change the settings."
    return None


def _sentence(error: Exception) -> str:
    """What to tell the user: our own sentence as it is, another library's by its kind and gist."""
    if sentence := in_one_sentence(error):
        return sentence
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[-1].strip()} (--debug shows where)"


class ErrorMixin:
    """A parser whose errors are ours, those of the objects it makes included, and that knows old class paths."""

    def parse_args(self, args: Any = None, *others: Any, **options: Any) -> Any:
        """Parse a command line; class paths of older versions are today's."""
        given = sys.argv[1:] if args is None else args
        try:
            return super().parse_args([renew(arg) for arg in given], *others, **options)  # type: ignore[misc]
        except ConfigurationError as error:
            raise with_whole_name(error, given) from error
        except UnicodeDecodeError as error:
            raise ConfigurationError(
                f"a configuration that is no UTF-8 text ({error.reason} at byte {error.start})",
                "YAML in UTF-8",
                "save the file that --config names as such",
            ) from error

    def parse_string(self, content: str, *others: Any, **options: Any) -> Any:
        """Parse a configuration's text, a file's too; class paths of older versions are today's."""
        self._refuse_values_as_sections(content)
        return super().parse_string(renew(content), *others, **options)  # type: ignore[misc]

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Turn the parser's message into one sentence."""
        raise explain(message, {action.dest for action in self._actions}) from ex  # type: ignore[attr-defined]

    def instantiate(self, *args: Any, **kwargs: Any) -> Any:
        """Make the objects; where the library wraps our error in its own, ours comes out."""
        try:
            return super().instantiate(*args, **kwargs)  # type: ignore[misc]
        except FundusSegError:
            raise
        except Exception as error:  # whatever a constructor meets first in a value that it did not expect
            raise _cause(error) from error

    instantiate_classes = instantiate  # the name that LightningCLI still calls

    def _refuse_values_as_sections(self, content: str) -> None:
        """A value where settings belong would be dropped where another setting of its section is given too."""
        try:
            values = yaml.safe_load(content)
        except yaml.YAMLError:
            return  # the library says where
        names = {action.dest for action in self._actions}  # type: ignore[attr-defined]
        for name, value in values.items() if isinstance(values, dict) else ():
            of_it = [setting for setting in names if setting.startswith(f"{name}.") and not setting.endswith(".help")]
            file_of_settings = isinstance(value, str) and name in names  # which a section of a class takes
            if of_it and not isinstance(value, dict) and not file_of_settings:
                raise ConfigurationError(
                    f"{value!r} for {name}", f"settings such as {min(of_it)} in lines below it", "correct the section"
                )


class HelpFormatter(DefaultHelpFormatter, RawDescriptionHelpFormatter):
    """Shows a command's docstring above its options as it is written."""


class Parser(ErrorMixin, ArgumentParser):
    """Of the commands that are no LightningCLI."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, formatter_class=HelpFormatter, **kwargs)


def _cause(error: Exception) -> BaseException:
    """Our own error among the causes, Lightning's sentence, or one about the value that a class did not take."""
    cause: BaseException | None = error
    while cause is not None and in_one_sentence(cause) is None:
        cause = cause.__cause__
    return cause or unusable(error)


def data_section(config: str | None, configuration: str = "") -> dict[str, Any]:
    """The data section of a YAML file, or of a checkpoint's own configuration where no file is given.

    Raises:
        ConfigurationError: The file cannot be read, or there is no such section.
    """
    try:
        text = configuration if config is None else Path(config).read_text(encoding="utf-8")
        section = (yaml.safe_load(renew(text)) or {}).get("data")
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError) as error:
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


def add_trust(parser: Parser) -> None:
    """Add ``--trust``, for a command that loads checkpoints."""
    parser.add_argument(
        "--trust", nargs="+", default=[], type=str, help="Packages, beside fundusseg, whose classes a file may name."
    )


def parse_trusting(command: Parser, arguments: Sequence[str]) -> Namespace:
    """A command's settings; the packages of its ``--trust`` are trusted from here on, before any checkpoint is read."""
    settings: Namespace = command.parse_args(arguments)
    trust(settings.trust)
    return settings


def scored_data(command: Parser, arguments: Sequence[str], config: str | None, configuration: str) -> Any:
    """The command's settings, with data from a YAML file or a checkpoint below what the command line says.

    What the checkpoint or only training decides is left out; ``command`` takes the rest as ``data``.

    Raises:
        ConfigurationError: As `data_section`.
        CheckpointError: The checkpoint's own configuration names a class of a package that is not trusted.
    """
    section = data_section(config, configuration)
    if config is None:
        check_trusted(section)
    data = {key: value for key, value in section.items() if key not in FIXED | TRAINING}
    return command.instantiate(command.parse_args(["--data", json.dumps(data), *arguments]))
