"""The bundle that ships with the package: its place, and that it is the file that was published."""

from pathlib import Path

from fundusseg.atomic_file import file_digest
from fundusseg.errors import CheckpointError

BUNDLE = Path(__file__).parents[1] / "bundles" / "fundusseg.bundle"
"""Beside it lie its model card, and `fundusseg.bundle.sha256`, which ``sha256sum --check`` reads."""


def pretrained_bundle() -> Path:
    """The shipped bundle's file, once its digest has been checked.

    Raises:
        CheckpointError: It is not there, or is not the file that was published.
    """
    listed = BUNDLE.with_name(f"{BUNDLE.name}.sha256")
    if not (BUNDLE.is_file() and listed.is_file()):
        raise CheckpointError(
            f"no bundle beside the package's code at {BUNDLE}",
            "the one that is part of the installed package",
            "install the package again, or give your own with --checkpoint",
        )
    expected, found = listed.read_text(encoding="ascii").split()[0], file_digest(BUNDLE)
    if found != expected:
        raise CheckpointError(
            f"a damaged bundle: {BUNDLE} (SHA-256 {found[:12]}...)",
            f"the one that was published ({expected[:12]}...)",
            "install the package again, or give your own with --checkpoint",
        )
    return BUNDLE
