"""The README's table of datasets says what the readers say."""

import re
from pathlib import Path

import pytest

import fundusseg.datasets as readers
from fundusseg.datasets.same_eyes import public_readers

README = Path(__file__).parents[2] / "README.md"
ROWS = {
    name: (link, [cell.strip() for cell in cells.split("|")])
    for name, link, cells in re.findall(r"^\| \[`(\w+)`\]\((.+?)\) \|(.+)\|$", README.read_text("utf-8"), re.MULTILINE)
    if name in dir(readers)
}


def test_every_public_reader_has_a_row():
    assert set(ROWS) == {reader.__name__ for reader in public_readers()}


@pytest.mark.parametrize("reader", list(public_readers()), ids=lambda reader: reader.__name__)
def test_the_row_agrees_with_the_reader(reader):
    link, (count, regions, licence) = ROWS[reader.__name__]
    assert link == reader.url
    assert re.findall(r"^\d+", count) == ([str(sum(reader.published.values()))] if reader.published else [])
    assert tuple(re.findall("disc|cup|membrane|sclera", regions)) == reader.regions
    assert re.split(r"; | \(|, | by its", licence)[0] in reader.licence
