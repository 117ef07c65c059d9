"""Properties of splices."""

import random

from entries import digest
from hypothesis import given
from hypothesis import strategies as st

from toastbox.core.errors import WireError
from toastbox.core.splice import ITEM_SIZE, apply_splice, check_splice, make_splice

LISTS = st.lists(st.integers(0, 9), max_size=30)


def chunks_of(numbers: list[int]) -> bytes:
    return b"".join(bytes([number]) * ITEM_SIZE for number in numbers)


@given(LISTS, LISTS)
def test_apply_of_make_is_the_new_list_and_no_larger(base: list[int], new: list[int]) -> None:
    operations = make_splice(chunks_of(base), chunks_of(new))
    assert apply_splice(chunks_of(base), operations, len(new)) == chunks_of(new)
    assert check_splice(operations, len(base)) == len(new)
    assert len(operations) <= ITEM_SIZE * len(new) + 8


@given(LISTS, st.lists(st.tuples(st.sampled_from([0, 1, 5, 2**32 - 1]), st.integers(0, 12)), max_size=6), st.binary())
def test_any_operations_are_refused_or_make_whole_items(
    base: list[int], operations: list[tuple[int, int]], tail: bytes
) -> None:
    data = b"".join(start.to_bytes(4, "little") + count.to_bytes(4, "little") for start, count in operations)
    try:
        made = apply_splice(chunks_of(base), data + tail, 40)
    except WireError:
        return
    assert len(made) % ITEM_SIZE == 0 and len(made) <= 40 * ITEM_SIZE


def test_a_hundred_edits_of_a_long_list_are_small() -> None:
    """256 MiB in 4096 chunks, as in the benchmark: a list of 147 kB, changes of 5."""
    chance = random.Random(1)
    items = [digest(b"%d" % number) + b"\0\0\1\0" for number in range(4096)]
    base = b"".join(items)
    for _ in range(100):
        at = chance.randrange(len(items))
        items[at : at + 1] = [chance.randbytes(36) for _ in range(chance.choice([0, 1, 1, 1, 2]))]
    new = b"".join(items)
    operations = make_splice(base, new)
    assert apply_splice(base, operations, 5000) == new
    assert len(operations) <= 100 * (2 * 36 + 16) + 8
