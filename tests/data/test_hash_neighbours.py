import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fundusseg.data import hash_neighbours
from fundusseg.data.hash_neighbours import near_pairs


def all_pairs(asked: np.ndarray, kept: np.ndarray, distance: int) -> list[tuple[int, int]]:
    bits = np.bitwise_count(asked[:, None] ^ kept[None]).sum(axis=2)
    return [(int(i), int(j)) for i, j in np.argwhere(bits <= distance)]


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 30),
    st.integers(0, 30),
    st.sampled_from([(1, 8), (1, 3), (4, 14), (2, 10)]),
)
def test_the_tables_find_the_pairs_that_comparing_all_does(seed, asked, kept, kind):
    """Hashes a few bits from one of three centres: many pairs lie just within the distance, and just beyond."""
    words, distance = kind
    random = np.random.default_rng(seed)
    centres = random.integers(0, 2**64, (3, words), np.uint64)

    def around(count: int) -> np.ndarray:
        flips = random.random((count, 64 * words)) < 0.5 * distance / (64 * words)
        return centres[random.integers(0, 3, count)] ^ np.packbits(flips, axis=1).view(np.uint64).reshape(count, words)

    one, other = around(asked), around(kept)
    assert list(map(tuple, near_pairs(one, other, distance).tolist())) == all_pairs(one, other, distance)


def test_the_edge_of_the_distance():
    nothing = np.zeros((1, 1), np.uint64)
    for bits in (8, 9):
        spread = np.array([[sum(1 << (7 * bit) for bit in range(bits))]], np.uint64)
        assert len(near_pairs(spread, nothing, 8)) == (bits == 8)


def test_hashes_that_share_a_part_are_compared_a_few_at_a_time(monkeypatch):
    """Photographs of one camera: a tenth of all pairs share a part, and would not fit into memory together."""
    monkeypatch.setattr(hash_neighbours, "_ROOM", 100)
    hashes = np.random.default_rng(2).integers(0, 2**64, (60, 4), np.uint64)
    hashes[:, 0] = 7
    hashes[40] = hashes[3] ^ np.uint64(1)
    sizes = [len(one) for one, _ in hash_neighbours._sharing_a_part(hashes, hashes, 14)]
    assert sum(sizes) >= 4 * 60 * 60 and max(sizes) <= 100 + 60
    assert list(map(tuple, near_pairs(hashes, hashes, 14).tolist())) == all_pairs(hashes, hashes, 14)


@pytest.mark.slow
def test_many_strangers_are_not_compared_with_one_another():
    """Two hundred thousand hashes: all pairs of them would take an hour, and 160 gigabytes at once."""
    random = np.random.default_rng(1)
    hashes = random.integers(0, 2**64, (200_000, 4), np.uint64)
    hashes[150_000] = hashes[7] ^ np.uint64(1 << 40)
    pairs = near_pairs(hashes, hashes, 14)
    assert [tuple(pair) for pair in pairs.tolist() if pair[0] < pair[1]] == [(7, 150_000)]
