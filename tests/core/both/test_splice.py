"""Splices: what is made is what is wanted, small, and nothing hostile gets through."""

import struct

from entries import chunk_list, digest, refusal

from toastbox.core.splice import ITEM_SIZE, LITERAL, apply_splice, check_splice, make_splice

BASE = chunk_list(*range(1, 21))


def items(*numbers):
    return b"".join([BASE[at * ITEM_SIZE : (at + 1) * ITEM_SIZE] for at in numbers])


def fresh(number):
    return digest(b"fresh" + str(number).encode()) + (5).to_bytes(4, "little")


def operation(start, count):
    return struct.pack("<II", start, count)


CASES = [  # new list, size of its splice
    (BASE, 8),
    (b"", 0),
    (BASE[:ITEM_SIZE], 8),
    (BASE + fresh(1), 8 + 8 + 36),
    (fresh(1) + BASE, 8 + 36 + 8),
    (items(0, 1, 2) + fresh(1) + BASE[4 * ITEM_SIZE :], 8 + 8 + 36 + 8),
    (fresh(1) + fresh(2) + fresh(3), 8 + 3 * 36),
    (BASE + BASE, 16),
    (items(5, 6, 7, 1, 2), 16),
    (items(4, 4, 4), 24),
]


def test_apply_of_make_is_the_new_list():
    for new, size in CASES:
        operations = make_splice(BASE, new)
        assert apply_splice(BASE, operations, 64) == new
        assert len(operations) == size, (len(operations), size)
        assert check_splice(operations, 20) == len(new) // ITEM_SIZE


def test_empty_base():
    operations = make_splice(b"", BASE)
    assert operations == operation(LITERAL, 20) + BASE
    assert apply_splice(b"", operations, 20) == BASE


def test_repeated_chunks_continue_the_run():
    zero = fresh(0)
    base = zero * 50 + BASE
    assert len(make_splice(base, base)) == 8
    assert len(make_splice(base, zero * 50 + fresh(1) + BASE)) == 8 + 8 + 36 + 8


def test_bytes_are_those_of_the_specification():
    new = items(2, 3) + fresh(1) + items(0)
    assert make_splice(BASE, new) == operation(2, 2) + operation(0xFFFFFFFF, 1) + fresh(1) + operation(0, 1)


HOSTILE = [
    operation(0, 21),
    operation(20, 1),
    operation(0, 0),
    operation(LITERAL, 0),
    operation(LITERAL, 1),
    operation(LITERAL, 1) + bytes(35),
    operation(LITERAL, 0xFFFFFFFF),
    operation(0, 0xFFFFFFFF),
    operation(0xFFFFFFFE, 0xFFFFFFFF),
    operation(0, 1)[:7],
    operation(0, 20) + b"\0",
]


def test_hostile_operations_are_refused():
    for operations in HOSTILE:
        assert refusal(apply_splice, BASE, operations, 64)


def test_too_many_chunks_are_refused_before_they_are_made():
    many = operation(0, 20) * 4
    assert len(apply_splice(BASE, many, 80)) == 80 * ITEM_SIZE
    assert refusal(apply_splice, BASE, many, 79)
    assert refusal(apply_splice, BASE[:-1], many, 80)
