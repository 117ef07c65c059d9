"""What the hub lacks: said to the devices of the folder, named when they ask, forgotten once it has come."""

from hashlib import sha256

from hubkit import Caller, Running, bundle
from toastbox.core.wire import MAX_HASHES
from toastbox.hub.wanted import Wanted

LOST = sha256(b"lost").digest()


def pull_mark(caller: Caller) -> str | None:
    answered = caller.ask("GET", "/v1/pull?after=0&epoch=0")
    assert answered.status == 200
    return answered.headers["Toastbox-Wanted"]


def test_what_is_asked_for_in_vain_is_asked_of_the_others(hub: Running) -> None:
    reader, owner = hub.device("reader"), hub.device("owner")
    streams = [each.events() for each in (reader, owner)]
    for stream in streams:
        stream.wait_for(b"data: 0\n")
    assert pull_mark(owner) is None and owner.ask("GET", "/v1/wanted").body == b""
    assert reader.ask("POST", "/v1/fetch", LOST).status == 200
    streams[1].wait_for(b"event: wanted\ndata: 1\n\n")
    assert pull_mark(owner) is not None
    assert owner.ask("GET", "/v1/wanted").body == LOST
    assert owner.ask("POST", "/v1/chunks", bundle(b"lost")).status == 200
    streams[0].wait_for(b"event: wanted\ndata: 1\n\n")
    assert pull_mark(owner) is None and owner.ask("GET", "/v1/wanted").body == b""


def test_strangers_learn_nothing(hub: Running) -> None:
    assert Caller(hub.port).ask("GET", "/v1/wanted").status == 401


def test_mark_changes_with_every_new_hash_and_the_number_is_bounded() -> None:
    wanted = Wanted()
    marks = {wanted.mark(1)}
    for number in range(MAX_HASHES + 5):
        wanted.note(1, number.to_bytes(32, "big"))
        marks.add(wanted.mark(1))
    assert len(marks) == MAX_HASHES + 1
    assert len(wanted.hashes(1)) == 32 * MAX_HASHES
    assert wanted.mark(2) == 0 and not wanted.found(2, [bytes(32)])
    assert wanted.found(1, [bytes(32)]) and not wanted.found(1, [bytes(32)])
