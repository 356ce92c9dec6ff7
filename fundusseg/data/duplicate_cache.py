"""Near-identical pictures of stores, looked for once for each division of the same pictures."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import astuple

from fundusseg.atomic_file import write_whole
from fundusseg.data.duplicates import Duplicate, find_duplicates
from fundusseg.data.fingerprint import fingerprint
from fundusseg.data.torch_datasets import MergedStore


def known_duplicates(
    store: MergedStore, labels: Sequence[object], apart: Callable[[int, int], bool]
) -> list[Duplicate]:
    """What `find_duplicates` gives; kept beside the stores, under a digest of their keys and the labels.

    Args:
        store: The pictures.
        labels: Of each picture, in plain values: all that ``apart`` looks at.
        apart: Whether a pair matters.
    """
    key = fingerprint([[one.folder.name for one in store.stores], list(labels)])
    path = store.stores[0].folder.parent / f"duplicates-{key}.json"
    with suppress(OSError, ValueError, TypeError):  # not there yet, or damaged
        return [Duplicate(*row) for row in json.loads(path.read_text())]
    found = find_duplicates(store.hashes, store.view, apart)
    with suppress(OSError):  # a full or read-only disk: it is looked for again
        write_whole(path, json.dumps([astuple(pair) for pair in found]).encode())
    return found
