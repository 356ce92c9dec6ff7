"""Where a run's checkpoints lie: names in the files, folders found again from where a file is read.

What picks the best one stands in `fundusseg.training.cli`. Lightning's `ModelCheckpoint` keeps the paths of its files
in every checkpoint. To share a network shares no folder, and a run that was moved goes on with the best checkpoint that
lies beside its last one.
"""

from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

_PATHS = ("best_model_path", "kth_best_model_path", "last_model_path")


def leave_names(states: Mapping[str, Any]) -> None:
    """Leave the files' names in the states of callbacks, which are changed.

    The score of the last epoch is left out too: Lightning does not read it again, and a run that goes on from a file
    does not know it.
    """
    for state in states.values():
        if isinstance(state, dict) and "dirpath" in state:
            state |= {name: _name(state[name]) for name in _PATHS if name in state}
            state["best_k_models"] = {_name(path): score for path, score in state.get("best_k_models", {}).items()}
            state |= {"dirpath": "", "current_score": None}


def find_folders(states: Mapping[str, Any], read_from: Path, own: Mapping[str, str]) -> None:
    """Put the folders back, where the files are, in the states of callbacks, which are changed.

    Args:
        states: Of the callbacks, by their key.
        read_from: The checkpoint.
        own: Folder of each `ModelCheckpoint` of this run, by its key.
    """
    for key, state in states.items():
        if not isinstance(state, dict) or "dirpath" not in state:
            continue
        best = _name(state.get("best_model_path", ""))
        beside = [read_from.parent, read_from.parent / "checkpoints", *([Path(own[key])] if key in own else [])]
        folder = next((place for place in beside if best and (place / best).is_file()), None)
        if folder is None:  # moved without its best one: another is chosen
            state |= {**dict.fromkeys((name for name in _PATHS if name in state), ""), "best_k_models": {}}
        folder = folder or read_from.parent
        # Lightning takes the scores up only where the folder is its own to the letter.
        same = key in own and Path(own[key]).resolve() == folder.resolve()
        where = own[key] if same else str(folder)
        state |= {name: str(Path(where) / _name(state[name])) for name in _PATHS if state.get(name)}
        scores = state.get("best_k_models", {})
        state["best_k_models"] = {str(Path(where) / _name(path)): score for path, score in scores.items()}
        state["dirpath"] = where


def _name(path: str) -> str:
    return PureWindowsPath(path).name
