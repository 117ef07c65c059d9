"""Content ids and chunk lists."""

from entries import chunk_list, digest, file, folder, link, refusal

from toastbox.core.content import MAX_CHUNK, check_list, chunk_item, content_id, items, list_of
from toastbox.core.entry import EMPTY_CONTENT


def test_content_ids_are_those_of_the_specification():
    two = chunk_list(1, 2)
    assert content_id(b"", 0) == EMPTY_CONTENT == digest(b"")
    assert content_id(chunk_item(digest(b"abc"), 3), 3) == digest(b"abc")
    assert content_id(two, 3) == digest(b"toastbox list 1\n" + two)


def test_items_come_back():
    assert list(items(chunk_list(5, 6))) == [(digest(b"0"), 5), (digest(b"1"), 6)]
    assert list(items(b"")) == []


def test_list_of_a_file_of_one_chunk_is_implied():
    assert list_of(file(b"p", b"abc")) == chunk_item(digest(b"abc"), 3)
    assert list_of(file(b"p", b"")) == b""
    assert list_of(folder(b"p")) == list_of(link(b"p")) == b""


def test_list_that_is_elsewhere_is_not_implied():
    entry = file(b"p", b"abc")
    entry.listed = False
    assert list_of(entry) == b""
    entry.chunks = chunk_list(1, 2)
    assert list_of(entry) == entry.chunks


def test_lists_that_cannot_be_are_refused():
    check_list(chunk_list(1, MAX_CHUNK), MAX_CHUNK + 1)
    for chunks, size in [
        (b"", 0),
        (chunk_list(5), 5),
        (chunk_list(1, 2), 4),
        (chunk_list(1, 2)[:-1], 3),
        (chunk_list(1, 0), 1),
        (chunk_list(1, MAX_CHUNK + 1), MAX_CHUNK + 2),
    ]:
        assert refusal(check_list, chunks, size)
