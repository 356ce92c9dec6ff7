"""The folder of a run: below the root that was given, and claimed by this run alone."""

import os
from pathlib import Path
from typing import Any

from fundusseg.atomic_file import clear_partial_files

_VERSION = "version_"


def put_below(logger: Any, root: str | None) -> None:
    """Let ``--trainer.default_root_dir`` decide where a logger writes whose own folder is relative."""
    for name in ("_root_dir", "_save_dir"):  # TensorBoard's and the CSV files'
        folder = getattr(logger, name, None)
        if root is not None and folder is not None:
            setattr(logger, name, os.path.join(root, folder))  # noqa: PTH118 (an absolute one stays as it is)


def claim(trainer: Any) -> Path | None:
    """Make the folder of the next version, atomically: of two runs begun in one second each gets its own.

    Without a logger it lies where the default one would write. What killed runs were writing in theirs is removed.

    Returns:
        The new folder; None where the version was given, or nothing is written to folders.
    """
    logger = trainer.logger
    if logger is None and not trainer.fast_dev_run:
        folder = _claim_next(runs_without_logger(trainer))
        enter(trainer, folder)
        return folder
    if not hasattr(logger, "_get_next_version") or logger._version is not None:
        return None
    folder = _claim_next(Path(logger.root_dir))
    logger._version = int(folder.name.removeprefix(_VERSION))
    return folder


def runs_without_logger(trainer: Any) -> Path:
    """Where the runs of a trainer without a logger lie."""
    return Path(trainer.default_root_dir) / "runs"


def enter(trainer: Any, folder: Path) -> None:
    """Let a trainer without a logger write into a run's folder."""
    trainer._default_root_dir = str(folder)


def _claim_next(runs: Path) -> Path:
    while True:
        before = [path for path in runs.glob(f"{_VERSION}*") if path.name.removeprefix(_VERSION).isdigit()]
        number = max((int(path.name.removeprefix(_VERSION)) for path in before), default=-1) + 1
        try:
            (runs / f"{_VERSION}{number}").mkdir(parents=True)
        except FileExistsError:  # another run was first
            continue
        for folder in (*before, *(run / "checkpoints" for run in before)):
            if folder.is_dir():
                clear_partial_files(folder.absolute())
        return runs / f"{_VERSION}{number}"
