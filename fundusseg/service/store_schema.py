"""The tables of a store: rows are added and never changed, and go only when all of a patient goes."""

import sqlite3
from pathlib import Path

from fundusseg.errors import ConfigurationError

VERSION = 1

FILE = "fundusseg.sqlite"

KEPT = ("gradings", "shown", "predictions", "photographs")
"""Tables with a photograph's rows, those first that name others."""

_TABLES = """
CREATE TABLE photographs (
    id TEXT PRIMARY KEY, patient TEXT NOT NULL, file TEXT NOT NULL, eye TEXT NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, content BLOB NOT NULL, grader TEXT NOT NULL, at TEXT NOT NULL);
CREATE INDEX photographs_of_patients ON photographs (patient);
CREATE TABLE predictions (
    number INTEGER PRIMARY KEY, photograph TEXT NOT NULL REFERENCES photographs (id), bundle TEXT NOT NULL,
    version TEXT NOT NULL, options TEXT NOT NULL, document TEXT NOT NULL, at TEXT NOT NULL);
CREATE INDEX predictions_of_photographs ON predictions (photograph);
CREATE TABLE shown (
    number INTEGER PRIMARY KEY, photograph TEXT NOT NULL REFERENCES photographs (id),
    prediction INTEGER NOT NULL REFERENCES predictions (number), grader TEXT NOT NULL, round INTEGER NOT NULL,
    at TEXT NOT NULL);
CREATE INDEX shown_to_graders ON shown (photograph, grader, round);
CREATE TABLE gradings (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, photograph TEXT NOT NULL REFERENCES photographs (id),
    prediction INTEGER NOT NULL REFERENCES predictions (number), grader TEXT NOT NULL, round INTEGER NOT NULL,
    decision TEXT NOT NULL, adjudication INTEGER NOT NULL, masked INTEGER NOT NULL, vertical_cdr REAL,
    content TEXT NOT NULL, at TEXT NOT NULL);
CREATE INDEX gradings_of_photographs ON gradings (photograph, grader, round);
CREATE TABLE deletions (
    number INTEGER PRIMARY KEY, grader TEXT NOT NULL, photographs INTEGER NOT NULL, predictions INTEGER NOT NULL,
    gradings INTEGER NOT NULL, at TEXT NOT NULL);
CREATE TABLE erasing (photograph TEXT PRIMARY KEY);
"""

_RULES = """
CREATE TRIGGER {table}_stay_as_they_are BEFORE UPDATE ON {table}
BEGIN SELECT RAISE(ABORT, 'rows of a store are not changed'); END;
CREATE TRIGGER {table}_stay BEFORE DELETE ON {table}
WHEN OLD.{key} NOT IN (SELECT photograph FROM erasing)
BEGIN SELECT RAISE(ABORT, 'rows of a store are not taken out'); END;
"""


def open_store(folder: Path) -> sqlite3.Connection:
    """Open a store's one file, or make it.

    What is committed is on the disk: no kill and no power cut loses it (``synchronous=FULL`` with a write-ahead log).
    What is deleted is overwritten.

    Raises:
        ConfigurationError: The folder cannot be written to, or holds a file that is no store of this version.
    """
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Threads take turns, see `store.Store`.
        connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            connection.executescript(_script())
    except (sqlite3.Error, OSError) as error:
        raise ConfigurationError(
            f"a store that cannot be opened: {path} ({error})",
            f"a folder that can be written to, with {FILE} as fundusseg made it or without one",
            "check --store",
        ) from error
    if version not in (0, VERSION):
        raise ConfigurationError(
            f"a store of version {version} in {path}", f"version {VERSION}", "use the fundusseg that made it"
        )
    return connection


def _script() -> str:
    """All tables and rules, made at once or not at all."""
    keys = {table: "id" if table == "photographs" else "photograph" for table in KEPT}
    rules = "".join(_RULES.format(table=table, key=key) for table, key in keys.items())
    return f"BEGIN IMMEDIATE;{_TABLES}{rules}PRAGMA user_version={VERSION};COMMIT;"


class transaction:
    """All of a block's changes, on the disk when it ends, or none."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def __enter__(self) -> None:
        self.connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type | None, *_: object) -> None:
        self.connection.execute("COMMIT" if kind is None else "ROLLBACK")
