"""The folder of a run: below the root that was given, and claimed by this run alone."""

import os
from pathlib import Path
from typing import Any


def put_below(logger: Any, root: str | None) -> None:
    """Let ``--trainer.default_root_dir`` decide where a logger writes whose own folder is relative."""
    for name in ("_root_dir", "_save_dir"):  # TensorBoard's and the CSV files'
        folder = getattr(logger, name, None)
        if root is not None and folder is not None:
            setattr(logger, name, os.path.join(root, folder))  # noqa: PTH118 (an absolute one stays as it is)


def claim(logger: Any) -> Path | None:
    """Make the folder of the next version, atomically: of two runs begun in one second each gets its own.

    Returns:
        The new folder; None where the version was given, or nothing is logged in folders.
    """
    if not hasattr(logger, "_get_next_version") or logger._version is not None:
        return None
    while True:
        number = logger._get_next_version()
        folder = Path(logger.root_dir) / f"version_{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:  # another run was first
            continue
        logger._version = number
        return folder
