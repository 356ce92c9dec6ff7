"""Checkpoints as files that are whole or not there, and alike where their content is."""

from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.plugins.io import TorchCheckpointIO

from fundusseg.models import checkpoint


class WholeFiles(TorchCheckpointIO):
    """Writes each checkpoint beside its place and renames it.

    Lightning's own writes it into the folder for temporary files first: a killed run leaves it there, and where that
    is another disk, moving it is copying it, of which a killed run leaves half.
    """

    def save_checkpoint(self, content: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write one; to an address (``s3://...``) as Lightning does."""
        if "://" in str(path) or storage_options is not None:
            super().save_checkpoint(content, path, storage_options)
        else:
            checkpoint.write(content, path)


def write_whole_files(trainer: Trainer) -> None:
    """Let a trainer write its checkpoints so, unless its strategy or its user has another way."""
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
        trainer.strategy.checkpoint_io = WholeFiles()
