"""The wire: every byte, golden messages, and what hostile peers send."""

import json

from entries import chunk_list, deleted, digest, file, folder, link, refusal

from toastbox.core import wire
from toastbox.core.content import content_id
from toastbox.core.entry import EMPTY_CONTENT, EXECUTABLE, FILE, PAIR, Entry
from toastbox.core.splice import make_splice

VECTORS = __file__.rsplit("/", 3)[0] + "/vectors/wire1.json"
CHUNKS = chunk_list(70000, 80000, 3)


def big():
    return Entry(b"big", FILE, 0, 7, 1, 150003, content_id(CHUNKS, 150003), CHUNKS, 4)


def read(record):
    found, end = wire.decode_entry(record, 0, len(record))
    assert end == len(record)
    return found


def test_record_is_as_specified():
    entry = Entry(b"a/b", FILE, EXECUTABLE | PAIR, 0x0102030405060708, -2, 3, digest(b"abc"), b"", 0x0A0B0C0D)
    assert wire.encode_entry(entry, wire.CONTENT) == (
        b"\x47\0\0\0"
        b"\1"
        b"\3"
        b"\3\0"
        b"\x08\x07\x06\x05\x04\x03\x02\x01"
        b"\xfe\xff\xff\xff\xff\xff\xff\xff"
        b"\3\0\0\0\0\0\0\0"
        b"\x0d\x0c\x0b\x0a"
        b"\1"
        b"\0\0\0"
        b"a/b" + digest(b"abc")
    )


def test_messages_are_as_specified():
    assert (
        wire.encode_pull(1, 2, 3, [b"xy"])
        == b"TBJ1\1\0\0\0" + b"".join([number.to_bytes(8, "little") for number in (1, 2, 3)]) + b"xy"
    )
    assert wire.encode_commit(1, 1, [b"xy"]) == b"TBC1\1\0\0\0" + b"\1" + bytes(7) + b"\1\0\0\0" + bytes(4) + b"xy"
    assert wire.encode_answer(1, 3, [(4, 0), (0, 9)]) == b"TBA1\2\0\0\0" + b"\1" + bytes(7) + b"\3" + bytes(
        7
    ) + b"\4" + bytes(15) + bytes(8) + b"\x09" + bytes(7)


def test_every_kind_comes_back():
    for entry in (file(b"a"), file(b"a", b""), folder(b"a/b"), link("ä".encode()), deleted(b"x"), big()):
        for seq in (0, 1, 2**64 - 1):
            entry.seq = seq
            found = read(wire.encode_entry(entry, wire.default_form(entry)))
            assert found.entry == entry and found.entry.listed and found.form == wire.default_form(entry)


def test_times_before_1970_and_devices_come_back():
    for mtime_ns in (-(2**63), -1, 0, 2**63 - 1):
        entry = file(b"a", mtime_ns=mtime_ns)
        entry.device = 2**32 - 1
        found = read(wire.encode_entry(entry, wire.CONTENT)).entry
        assert found.mtime_ns == mtime_ns and found.device == entry.device


def test_splice_comes_back():
    splice = make_splice(CHUNKS[:36], CHUNKS)
    found = read(wire.encode_entry(big(), wire.SPLICE, 5, splice))
    assert found.base_seq == 5 and found.splice == splice
    assert found.entry.content == big().content and found.entry.chunks == b"" and not found.entry.listed


def test_list_elsewhere_comes_back_as_such():
    found = read(wire.encode_entry(big(), wire.ELSEWHERE))
    assert not found.entry.listed and found.entry.content == big().content
    assert wire.default_form(found.entry) == wire.ELSEWHERE


def test_records_are_read_in_the_middle_of_a_message():
    record = wire.encode_entry(file(b"a"), wire.CONTENT)
    found, end = wire.decode_entry(b"xx" + record + b"yy", 2, 2 + len(record))
    assert found.entry == file(b"a") and end == 2 + len(record)
    assert refusal(wire.decode_entry, b"xx" + record, 2, 1 + len(record))


# --- hostile records


def patched(record, at, data):
    return record[:at] + data + record[at + len(data) :]


def test_bits_that_mean_nothing_are_refused():
    record = wire.encode_entry(file(b"a"), wire.CONTENT)
    for at, data in [
        (4, b"\4"),  # kind
        (4, b"\xff"),
        (5, b"\4"),  # flags
        (5, b"\x80"),
        (36, b"\6"),  # form
        (36, b"\xff"),
        (37, b"\1"),  # padding
        (39, b"\1"),
    ]:
        assert refusal(read, patched(record, at, data)), (at, data)


def test_forms_that_do_not_fit_the_kind_are_refused():
    fitting = {0: (0,), 1: (1, 2, 3, 5), 2: (0,), 3: (4,)}
    for kind in range(4):
        for form in range(6):
            entry = file(b"a", b"") if kind == 1 else Entry(b"a", kind, 0, 1, 0, 0, b"t" if kind == 3 else b"")
            if form not in fitting[kind]:
                assert refusal(read, wire.encode_entry(entry, form)), (kind, form)


def test_lengths_are_refused_before_memory_is_taken():
    record = wire.encode_entry(file(b"a"), wire.CONTENT)
    for length in (0, 35, 36, 37, len(record) - 5, len(record) - 3, 0x02000001, 0xFFFFFFFF):
        assert refusal(read, patched(record, 0, length.to_bytes(4, "little"))), length
    for length in (0, 2, 33, 34, 0xFFFF):
        assert refusal(read, patched(record, 6, length.to_bytes(2, "little"))), length


def test_bad_paths_are_refused():
    for path in (b"", b"/a", b"../a", b"a/../b", b".toastbox/x", b"a\0b", b"\xff", b"x" * 256, b"a/" * 2048 + b"a"):
        assert refusal(read, wire.encode_entry(file(path), wire.CONTENT)), path


def test_sizes_that_do_not_fit_are_refused():
    for entry, form in [
        (Entry(b"a", FILE, 0, 1, 0, wire.MAX_CHUNK + 1, digest(b"a")), wire.CONTENT),
        (Entry(b"a", FILE, 0, 1, 0, 0, digest(b"a")), wire.CONTENT),
        (Entry(b"a", FILE, 0, 1, 0, 1, EMPTY_CONTENT), wire.CONTENT),
        (Entry(b"a", FILE, 0, 1, 0, 1, digest(b"a")[:31]), wire.CONTENT),
        (Entry(b"a", FILE, 0, 1, 0, 1, digest(b"a") + b"x"), wire.CONTENT),
        (Entry(b"a", FILE, 0, 1, 0, 1, digest(b"a")), wire.ELSEWHERE),
        (Entry(b"a", FILE, 0, 1, 0, 9, digest(b"a") + b"x"), wire.ELSEWHERE),
        (Entry(b"a", FILE, 0, 1, 0, 150004, big().content, CHUNKS), wire.LIST),
        (Entry(b"a", FILE, 0, 1, 0, 70000, big().content, CHUNKS[:36]), wire.LIST),
        (Entry(b"a", FILE, 0, 1, 0, 150003, big().content, CHUNKS[:-1]), wire.LIST),
        (Entry(b"a", 2, 0, 1, 0, 1), wire.NONE),
        (Entry(b"a", 2, 0, 1, 1, 0), wire.NONE),
        (Entry(b"a", 2, EXECUTABLE, 1), wire.NONE),
        (Entry(b"a", 2, 0, 1, 0, 0, b"x"), wire.NONE),
        (Entry(b"a", 0, PAIR, 1), wire.NONE),
        (Entry(b"a", 0, 0, 1, 1), wire.NONE),
        (link(b"a", b""), wire.TARGET),
        (link(b"a", b"x" * 4096), wire.TARGET),
        (link(b"a", b"x\0y"), wire.TARGET),
        (Entry(b"a", 3, 0, 1, 0, 1, b"t"), wire.TARGET),
        (Entry(b"a", 3, EXECUTABLE, 1, 0, 0, b"t"), wire.TARGET),
    ]:
        assert refusal(read, wire.encode_entry(entry, form)), (entry, form)
    read(wire.encode_entry(link(b"a", b"x" * 4095), wire.TARGET))
    read(wire.encode_entry(Entry(b"a", FILE, 0, 1, 0, wire.MAX_CHUNK, digest(b"a")), wire.CONTENT))


def test_bad_splices_are_refused():
    for splice in (b"x", bytes(8), b"\xff" * 4 + b"\xff" * 4, b"\xff" * 4 + b"\1\0\0\0" + bytes(35)):
        assert refusal(read, wire.encode_entry(big(), wire.SPLICE, 5, splice))
    record = wire.encode_entry(big(), wire.ELSEWHERE)
    assert refusal(read, patched(record, 36, b"\3"))


# --- messages


def pull_of(*records, count=None, cursor=9, head=9):
    message = wire.encode_pull(1, cursor, head, list(records))
    return message if count is None else patched(message, 4, count.to_bytes(4, "little"))


def entries(message, decode):
    return [record.entry for record in decode(message).records()]


def record_of(path, seq):
    return wire.encode_entry(file(path, seq=seq), wire.CONTENT)


def test_pull_comes_back():
    message = wire.encode_pull(2**64 - 1, 6, 9, [record_of(b"a", 5), record_of(b"b", 6)])
    pull = wire.decode_pull(message)
    assert (pull.epoch, pull.cursor, pull.head, pull.count) == (2**64 - 1, 6, 9, 2)
    assert entries(message, wire.decode_pull) == [file(b"a", seq=5), file(b"b", seq=6)]
    assert entries(wire.encode_pull(1, 0, 0, []), wire.decode_pull) == []


def test_commit_and_answer_come_back():
    message = wire.encode_commit(7, wire.CONFIRMED_DELETES, [record_of(b"a", 0)])
    commit = wire.decode_commit(message)
    assert (commit.epoch, commit.flags, commit.count) == (7, 1, 1)
    assert entries(message, wire.decode_commit) == [file(b"a", seq=0)]
    answer = wire.decode_answer(wire.encode_answer(7, 9, [(0, 9), (7, 0)]))
    assert (answer.epoch, answer.head, answer.results) == (7, 9, [(0, 9), (7, 0)])


def test_pull_out_of_order_is_refused():
    for records, cursor in [((6, 5), 9), ((5, 5), 9), ((0,), 9), ((5, 6), 5)]:
        message = pull_of(*[record_of(b"p%d" % seq, seq) for seq in records], cursor=cursor)
        assert refusal(entries, message, wire.decode_pull), records
    assert refusal(wire.decode_pull, pull_of(cursor=10))


def test_pull_with_a_list_of_another_content_is_refused():
    entry = Entry(b"a", FILE, 0, 5, 0, 150003, digest(b"other"), CHUNKS)
    assert refusal(entries, pull_of(wire.encode_entry(entry, wire.LIST)), wire.decode_pull)


def test_proposal_without_its_list_is_refused():
    message = wire.encode_commit(1, 0, [wire.encode_entry(big(), wire.ELSEWHERE)])
    assert refusal(entries, message, wire.decode_commit)


def test_counts_are_refused_before_records_are_read():
    record = record_of(b"a", 5)
    for count in (2, 4097, 4098, 0xFFFFFFFF):
        assert refusal(wire.decode_pull, pull_of(record, count=count)), count
        commit = patched(wire.encode_commit(1, 0, [record]), 4, count.to_bytes(4, "little"))
        assert refusal(wire.decode_commit, commit), count
        answer = patched(wire.encode_answer(1, 1, [(0, 1)]), 4, count.to_bytes(4, "little"))
        assert refusal(wire.decode_answer, answer), count
    assert refusal(wire.decode_commit, wire.encode_commit(1, 0, []))
    assert refusal(entries, pull_of(record, count=0), wire.decode_pull)
    assert refusal(entries, pull_of(record) + b"x", wire.decode_pull)


def test_other_messages_are_refused():
    pull, commit, answer = pull_of(), wire.encode_commit(1, 0, [record_of(b"a", 0)]), wire.encode_answer(1, 1, [])
    for decode, good in ((wire.decode_pull, pull), (wire.decode_commit, commit), (wire.decode_answer, answer)):
        decode(good)
        for message in (b"", b"TB", good[:23], b"TBX1" + good[4:]):
            assert refusal(decode, message)
    assert refusal(wire.decode_commit, wire.encode_commit(1, 2, [record_of(b"a", 0)]))
    assert refusal(wire.decode_commit, patched(commit, 20, b"\1"))
    assert refusal(wire.decode_answer, wire.encode_answer(1, 1, [(8, 0)]))
    assert refusal(wire.decode_answer, patched(wire.encode_answer(1, 1, [(0, 1)]), 28, b"\1"))


def test_every_truncation_is_refused():
    splice = make_splice(CHUNKS[:36], CHUNKS)
    records = [
        wire.encode_entry(file(b"a/b", seq=1), wire.CONTENT),
        wire.encode_entry(deleted(b"gone", 2), wire.NONE),
        wire.encode_entry(link(b"link", b"to", 3), wire.TARGET),
        wire.encode_entry(big(), wire.SPLICE, 5, splice),
    ]
    for message, decode in [
        (wire.encode_pull(1, 9, 9, records), wire.decode_pull),
        (wire.encode_commit(1, 0, records), wire.decode_commit),
    ]:
        assert len(entries(message, decode)) == 4
        for end in range(len(message)):
            assert refusal(entries, message[:end], decode), end


# --- golden bytes: whatever is changed, these stay readable for ever


def hexadecimal(data):
    return data.hex() if data else ""  # b"".hex() is b"" in MicroPython 1.25


def described(record):
    entry = record.entry
    return {
        "path": hexadecimal(entry.path),
        "kind": entry.kind,
        "flags": entry.flags,
        "seq": entry.seq,
        "mtime_ns": entry.mtime_ns,
        "size": entry.size,
        "content": hexadecimal(entry.content),
        "chunks": hexadecimal(entry.chunks),
        "listed": entry.listed,
        "device": entry.device,
        "form": record.form,
        "base_seq": record.base_seq,
        "splice": hexadecimal(record.splice),
    }


def golden(name):
    with open(VECTORS) as stream:
        return json.load(stream)[name]


def test_golden_records_are_read_and_written():
    for vector in golden("records"):
        data = bytes.fromhex(vector["bytes"])
        record = read(data)
        assert described(record) == vector["record"], vector["name"]
        assert wire.encode_entry(record.entry, record.form, record.base_seq, record.splice) == data, vector["name"]


def test_golden_pulls_and_commits_are_read():
    for vector in golden("pulls"):
        pull = wire.decode_pull(bytes.fromhex(vector["bytes"]))
        assert [pull.epoch, pull.cursor, pull.head] == vector["head"]
        assert [described(record) for record in pull.records()] == vector["records"]
    for vector in golden("commits"):
        commit = wire.decode_commit(bytes.fromhex(vector["bytes"]))
        assert [commit.epoch, commit.flags] == vector["head"]
        assert [described(record) for record in commit.records()] == vector["records"]


def test_golden_answers_are_read_and_written():
    for vector in golden("answers"):
        answer = wire.decode_answer(bytes.fromhex(vector["bytes"]))
        assert [answer.epoch, answer.head] == vector["head"]
        assert [list(result) for result in answer.results] == vector["results"]
        assert wire.encode_answer(answer.epoch, answer.head, answer.results).hex() == vector["bytes"]
