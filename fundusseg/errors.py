"""What went wrong because of a file, a folder or a setting, said in one sentence.

Every error here is a user's to mend, so each carries what was got, what was expected and what to do. The command line
prints the sentence and exits with code 2; a traceback is shown with ``--debug`` only.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class FundusSegError(Exception):
    """A mistake outside the program.

    Args:
        got: What was found, naming the file or the setting.
        expected: What should have been there.
        do: What the user can do about it, as an imperative clause.

    A ready sentence alone is taken as it is: so a data loader makes the error anew that a worker process raised.
    """

    def __init__(self, got: str, expected: str = "", do: str = "") -> None:
        self.got, self.expected, self.do = got, expected, do
        super().__init__(f"got {got}; expected {expected}; {do}." if expected else got)

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        """Pickle by the three parts, so that the error crosses a process border."""
        return type(self), (self.got, self.expected, self.do)


class DatasetError(FundusSegError):
    """A dataset's folder, file list or annotation is not as its publisher describes it."""


class OrphanError(DatasetError):
    """A picture without its annotation, or the other way round.

    Attributes:
        paired: Files of the same kind that do have their counterpart: none where it is another package.
    """

    paired = 0


class EmptyMaskError(DatasetError):
    """An annotation in which nothing is marked."""


class ImplausibleMaskError(DatasetError):
    """An annotation that no eye can have: turned round, an outline, of another picture."""


class ImageError(FundusSegError):
    """A picture cannot be read or has the wrong form."""


class CheckpointError(FundusSegError):
    """A checkpoint is missing, is not one of ours, or does not fit."""


class TrainingError(FundusSegError):
    """A training cannot go on: its loss is no number."""


class RecompilationError(FundusSegError):
    """A step does not stay on the device: it is compiled again and again, or leaves it for the host."""


class ConfigurationError(FundusSegError):
    """A setting is unknown or does not fit the others."""


def nearest(name: str, names: Iterable[str], count: int = 3) -> str:
    """Name the choices most like a misspelt one: ``"'resnet18', 'resnet34'"``, or a few of all if none is near."""
    choices = {choice.casefold(): choice for choice in sorted(names)}
    close = get_close_matches(name.casefold(), choices, n=count, cutoff=0.5) or [*choices][:count]
    return ", ".join(repr(choices[choice]) for choice in close)
