"""The champions' folder: every bundle that was promoted, with its card, and which of them is the current one.

``current.bundle`` is a link that is replaced atomically: whoever opens it has one whole bundle, and `predict` and
`serve` take it as any other. Nothing is ever deleted, so that there is always a way back.
"""

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fundusseg.atomic_file import file_digest, write_whole
from fundusseg.errors import ConfigurationError
from fundusseg.reports.files import write_json
from fundusseg.reports.model_card import card_path

CURRENT = "current.bundle"
"""Name of the link."""


@dataclass(frozen=True, slots=True)
class Champions:
    """A folder of champions.

    Attributes:
        folder: Where they are.
    """

    folder: Path

    @property
    def current(self) -> Path | None:
        """The bundle that is in use; None before the first.

        Raises:
            ConfigurationError: A copy of the folder has a file in place of the link: which champion it is, is not said.
        """
        link = self.folder / CURRENT
        if link.exists() and not link.is_symlink():
            raise ConfigurationError(
                f"{link}, a file", "a link to a champion beside it", "link it anew: ln -sf champion-NNNN.bundle there"
            )
        return link.resolve() if link.exists() else None

    @property
    def first(self) -> Path:
        """The bundle that all began with.

        Raises:
            ConfigurationError: It was removed: against a later one, small losses could add up unseen.
        """
        first = self._champion(0)
        if not first.is_file():
            raise ConfigurationError(
                f"no {first.name} in {self.folder}",
                "the first champion, which each challenger is compared with",
                "put it back, or begin anew in another --champions",
            )
        return first

    @property
    def digests(self) -> list[str]:
        """Of every champion."""
        return [str(json.loads(path.read_text())["sha256"]) for path in sorted(self.folder.glob("champion-*.json"))]

    @property
    def last(self) -> int:
        """Number of the last round that promoted; 0 where none has."""
        numbers = (path.stem.partition("-")[2] for path in self._kept)
        return max((int(number) for number in numbers if number.isdecimal()), default=0)

    def _champion(self, number: int) -> Path:
        return self.folder / f"champion-{number:04}.bundle"

    @property
    def _kept(self) -> list[Path]:
        return sorted(self.folder.glob("champion-*.bundle"))

    def crown_first(self, bundle: Path) -> None:
        """Make a bundle the first champion; one that is kept already changes nothing.

        Raises:
            ConfigurationError: There are champions, and it is none of them; or the link that says which is in use is
                gone, and one of them would be written over or left behind.
        """
        if self.current is None:
            if others := [kept.name for kept in self._kept if file_digest(kept) != file_digest(bundle)]:
                raise ConfigurationError(
                    f"{others[-1]} in {self.folder}, and no {CURRENT} that says which champion is in use",
                    "a link of that name",
                    f"make it: ln -s {others[-1]} {self.folder / CURRENT}",
                )
            self.point_to(self.keep(bundle, 0, None, {"reason": "the bundle that was given first"}))
            return
        if file_digest(bundle) not in self.digests:
            raise ConfigurationError(
                f"{bundle}, which is no champion of {self.folder}",
                "one that is kept there",
                "leave --bundle out to challenge the current champion, or begin anew in another --champions",
            )

    def keep(self, bundle: Path, number: int, before: Path | None, facts: Mapping[str, Any]) -> Path:
        """Keep a bundle and its card under a number; kept again it is the same.

        Args:
            bundle: The file; its card lies beside it, if it has one.
            number: Of the round that made it; 0 for the first.
            before: The champion that it follows.
            facts: Why it was promoted.
        """
        kept = self._champion(number)
        if card_path(bundle).is_file():
            write_whole(card_path(kept), card_path(bundle).read_bytes())
        described = {"sha256": file_digest(bundle), "before": before.name if before else None, **facts}
        write_json(described, kept.with_suffix(".json"))
        write_whole(kept, bundle.read_bytes())
        return kept

    def point_to(self, champion: Path) -> None:
        """Make a kept champion the current one."""
        partial = self.folder / f".{CURRENT}.{os.getpid()}"
        partial.unlink(missing_ok=True)
        partial.symlink_to(champion.name)
        partial.replace(self.folder / CURRENT)

    def roll_back(self) -> tuple[Path, Path]:
        """Make the champion before the current one the current one again; both, the one that is left first.

        Raises:
            ConfigurationError: There is none before it.
        """
        current = self.current
        described = {} if current is None else json.loads(current.with_suffix(".json").read_text())
        if current is None or not described.get("before"):
            raise ConfigurationError(
                f"no champion before {current.name if current else 'the first'} in {self.folder}",
                "a champion that followed another",
                "leave --roll_back out, or name another --champions",
            )
        before = self.folder / described["before"]
        self.point_to(before)
        return current, before


def remove_folder(folder: Path) -> None:
    """Remove a working folder, with the photographs that it holds."""
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
