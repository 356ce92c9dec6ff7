"""Random faults in files, texts and settings, and a run of a command that sees what it did with them."""

import contextlib
import io
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from fundusseg.cli import in_one_sentence

ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 3, 7, 10**12, -(10**12), 0.5, -0.5, 1e-300, 1e300, float("nan"), float("inf")),
    *("", " ", "text", "5", "null", "nan", "é\U0001f441", "../up", "a/b", "C:\\x", "%s {0} $HOME", "x" * 5000),
    *([], [None], [1, 2], ["a"], [[1]], {}, {"a": 1}, {1: 2}, {"class_path": "os.getcwd"}, {"class_path": 3}),
    *({"class_path": "fundusseg.models.UNet"}, {"class_path": "torch.nn.ReLU", "init_args": {"inplace": 3}}),
)


def damaged(content: bytes, chance: random.Random) -> bytes:
    """The bytes with one to four faults: cut, flipped, repeated, taken out, put in, overwritten with one value."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(changed) + 1)
        stop = min(len(changed), start + chance.choice((1, 2, 8, 64, 1024)))
        # Headers decide more than pixels do.
        start, stop = (start % 64, stop % 128) if chance.random() < 0.4 else (start, stop)
        match chance.randrange(7):
            case 0:
                del changed[start:]
            case 1:
                del changed[start:stop]
            case 2:
                changed[start:stop] = bytes(chance.getrandbits(8) for _ in changed[start:stop])
            case 3:
                changed[start:start] = bytes(chance.getrandbits(8) for _ in range(chance.choice((1, 4, 100))))
            case 4:
                changed[start:start] = changed[start:stop]
            case 5:
                changed[start:stop] = bytes([chance.choice((0, 1, 127, 255))]) * len(changed[start:stop])
            case _:
                for place in range(start, min(stop, start + 3, len(changed))):
                    changed[place] ^= 1 << chance.randrange(8)
    return bytes(changed)


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where values stand in nested dictionaries and lists: the keys that lead there."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in pairs:
        yield (*path, key)
        yield from places(value, (*path, key))


def disturb(content: Any, chance: random.Random, times: int = 1) -> str:
    """Change nested dictionaries and lists in place: a value replaced, taken out, moved or misspelt; says which."""
    said = []
    for _ in range(times):
        choices = list(places(content))
        if not choices:
            break
        *above, last = chance.choice(choices)
        holder = content
        for key in above:
            holder = holder[key]
        how = chance.choice(("replace", "replace", "replace", "remove", "swap", "misspell"))
        if how == "remove":
            del holder[last]
        elif how == "swap":
            other = content
            for key in chance.choice(choices):
                other = other[key] if isinstance(other, dict) and key in other else other
            holder[last] = other if isinstance(other, str | int | float | None) else 1
        elif how == "misspell" and isinstance(holder, dict) and isinstance(last, str):
            holder[f"{last[:1]}{last[2:]}" if chance.random() < 0.5 else f"{last}s"] = holder.pop(last)
        else:
            holder[last] = chance.choice(ODD_VALUES)
        now = str(holder[last])[:40] if _has(holder, last) else "nothing"
        said.append(f"{how} {'.'.join(map(str, (*above, last)))}: {now}")
    return "; ".join(said)


def _has(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else key < len(holder)


class Hang(BaseException):
    """The watchdog's; no command may take it for an error of a file."""


@dataclass
class Outcome:
    """What a command did.

    Attributes:
        code: Its exit code; None where it ended in an error.
        error: That error.
        said: What it printed.
        written: Files that it opened for writing, and folders that it made.
    """

    code: int | None = None
    error: BaseException | None = None
    said: str = ""
    written: set[Path] = field(default_factory=set)

    def faults(self, *allowed: Path) -> list[str]:
        """What must not happen, whatever the input: a hang, a traceback, a file in no allowed folder."""
        found = []
        if isinstance(self.error, Hang):
            found.append("hang")
        elif self.error is not None and in_one_sentence(self.error) is None:
            found.append(f"traceback: {type(self.error).__name__}: {str(self.error)[:300]}")
        outside = [path for path in self.written if not any(path.is_relative_to(folder) for folder in allowed)]
        return found + [f"written outside: {path}" for path in sorted(outside)]


_recorder: set[Path] | None = None
_HARMLESS = (os.devnull, "/proc", "/sys", "/dev/shm")


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Notes what is written; a hook cannot be taken off again, so that it does nothing while nobody records."""
    if _recorder is None or event not in ("open", "os.mkdir", "os.rename", "os.link", "os.symlink"):
        return
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & writing):
        return
    target = arguments[1] if event in ("os.rename", "os.link", "os.symlink") else arguments[0]
    if isinstance(target, str | bytes | os.PathLike):
        path = os.path.abspath(os.fsdecode(target))  # noqa: PTH100 - links stay links, ".." goes
        if not path.startswith(_HARMLESS) and "__pycache__" not in path:
            _recorder.add(Path(path))


_hooked: list[bool] = []


def watched(main: Callable[[list[str]], int], arguments: list[str], seconds: float = 60) -> Outcome:
    """Run a command in this process, as `fundusseg.cli.run` would, and see what it does."""
    global _recorder
    if not _hooked:
        sys.addaudithook(_audit)
        _hooked.append(True)
    outcome, said = Outcome(), io.StringIO()
    before = signal.signal(signal.SIGALRM, _hang)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    _recorder = outcome.written
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            outcome.code = main(arguments)
    except (Exception, SystemExit, Hang) as error:
        outcome.error = error
    finally:
        _recorder = None
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    outcome.said = said.getvalue()
    return outcome


def _hang(number: int, frame: FrameType | None) -> None:
    raise Hang
