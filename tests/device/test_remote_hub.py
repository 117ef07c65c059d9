"""The device's edges against the real hub: requests, push both ways, and LAN peers with the certificates it gives."""

import os
import queue
import random
import sys
import time
from hashlib import sha256
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "hub"))

import pytest

import hubkit
from hosted import Hosted
from manual import ManualClock
from toastbox.core.bundle import chunk_head
from toastbox.core.wire import CHUNKS_MISSING, COMMITTED, decode_answer, decode_pull
from toastbox.device import events
from toastbox.device.events import EventStream
from toastbox.device.interfaces import Credentials, SystemClock
from toastbox.device.members import Members
from toastbox.device.peers import PeerSet
from toastbox.device.remote import HubClient, pair
from toastbox.errors import AccessDenied, EpochChanged, HostilePeer, HubRefused
from toastbox.hub.home import find_folder


class Town:
    """A hub, and devices paired with it."""

    def __init__(self, hub: hubkit.Running) -> None:
        self.hub = hub
        self.url = f"https://127.0.0.1:{hub.port}"

    def code(self) -> str:
        return self.call(lambda: self.hub.home.pairing.invite(find_folder(self.hub.service, ""), 600))

    def device(self, name: str) -> Credentials:
        return pair(self.url, self.code(), name)

    def call(self, work):
        """Run in the hub's writing thread."""
        return self.hub.server.writer.call(work)

    def save(self, client: HubClient, *files: tuple[str, bytes]) -> list[tuple[int, int]]:
        upload(client, *(data for _, data in files))
        return commit(client, *(hubkit.file(path, data) for path, data in files))


@pytest.fixture
def town(tmp_path):
    with hubkit.running(tmp_path / "hub", announce=False) as hub:
        yield Town(hub)


@pytest.fixture
def client(town):
    made = HubClient(town.device("pi"))
    yield made
    made._channel.drop()


def upload(client: HubClient, *datas: bytes) -> None:
    parts = [part for data in datas for part in (chunk_head(sha256(data).digest(), len(data)), data)]
    client.upload(parts, sum(map(len, parts)))


def commit(client: HubClient, *entries) -> list[tuple[int, int]]:
    epoch = client.folder().epoch
    records = [hubkit.encode_entry(entry, hubkit.default_form(entry)) for entry in entries]
    return decode_answer(client.commit(hubkit.encode_commit(epoch, 0, records))).results


def test_files_go_up_and_come_down(client):
    datas = [os.urandom(size) for size in (1, 5000, 300_000, 1 << 20)]
    digests = b"".join(sha256(data).digest() for data in datas)
    entries = [hubkit.file(f"file{number}", data) for number, data in enumerate(datas)]
    assert client.missing(digests) == b"\x0f"
    assert {status for status, _ in commit(client, *entries)} == {CHUNKS_MISSING}
    upload(client, *datas)
    assert client.missing(digests) == b"\0"
    assert commit(client, *entries) == [(COMMITTED, seq) for seq in (1, 2, 3, 4)]
    absent = bytes(32)
    got = [(digest, data and bytes(data)) for digest, data in client.fetch(absent + digests)]
    assert got == [(absent, None)] + [(sha256(data).digest(), data) for data in datas]
    page = decode_pull(client.pull(0, 0, 512, 1 << 20))
    assert (page.cursor, page.head) == (4, 4)
    info = client.folder()
    assert (info.seq, info.live, info.device_name) == (4, 4, "pi")
    assert client._channel.counters()[0] > sum(map(len, datas))


def test_lists_of_large_files_are_read_in_pages(client):
    pieces = [b"piece %d" % number for number in range(10)]
    upload(client, *pieces)
    entry = hubkit.big_file("big", pieces)
    assert commit(client, entry) == [(COMMITTED, 1)]
    assert client.chunk_list(entry.content, 0, 16384) == (entry.chunks, 10)
    assert client.chunk_list(entry.content, 7, 2) == (entry.chunks[7 * 36 : 9 * 36], 10)
    with pytest.raises(HubRefused):
        client.chunk_list(bytes(32), 0, 1)


def test_history_is_told_and_restored(town, client):
    path = "a folder/ü?&.txt"
    commit(client, hubkit.folder("a folder"))
    town.save(client, (path, b"one"))
    upload(client, b"two")
    assert commit(client, hubkit.file(path, b"two", 2)) == [(COMMITTED, 3)]
    assert [each["seq"] for each in client.versions(path.encode())] == [3, 2]
    assert client.restore(path.encode(), 2) == 4
    assert [each["seq"] for each in client.log(count=2)] == [4, 3]
    assert [each["seq"] for each in client.log(before=3)] == [2, 1]


def test_code_works_once_but_a_lost_answer_is_given_again(town):
    code, key = town.code(), os.urandom(32)
    first = pair(town.url, code, "pi", key)
    assert pair(town.url, code, "pi", key) == first
    with pytest.raises(AccessDenied, match="toastbox invite"):
        pair(town.url, code, "pi")


def test_taken_name_comes_back_with_a_number(town):
    assert [town.device("pi").name, town.device("pi").name] == ["pi", "pi 2"]


def test_wrong_epoch_and_revocation_are_told_apart(town, client):
    with pytest.raises(EpochChanged) as caught:
        client.pull(1, 12345, 512, 4096)
    assert caught.value.epoch == client.folder().epoch
    revoke(town, client.folder().device)
    with pytest.raises(AccessDenied):
        client.folder()


def test_another_hub_at_the_address_is_not_spoken_to(town, client, tmp_path):
    with hubkit.running(tmp_path / "other", announce=False) as other:
        credentials = town.device("pi 3")
        moved = Credentials(
            **{name: getattr(credentials, name) for name in Credentials.__slots__}
            | {"url": f"https://127.0.0.1:{other.port}"}
        )
        with pytest.raises(HostilePeer):
            HubClient(moved).folder()


def revoke(town: Town, number: int) -> None:
    journal = town.hub.service.journal
    device = next(each for each in journal.devices() if each.number == number)
    town.call(lambda: town.hub.service.revoke(device))


# --- push


class Listener:
    def __init__(self) -> None:
        self.heard: queue.Queue[tuple] = queue.Queue()

    def on_head(self, epoch, seq):
        self.heard.put(("head", seq))

    def on_peers(self):
        self.heard.put(("peers",))

    def on_connected(self, connected):
        self.heard.put(("connected", connected))

    def on_denied(self, reason):
        self.heard.put(("denied",))

    def wait_for(self, *message) -> None:
        while self.heard.get(timeout=10) != message:
            pass


@pytest.fixture
def listening(monkeypatch):
    monkeypatch.setattr(events, "BASE_S", 0.05)
    streams = []

    def start(credentials: Credentials, place=(0, 0)) -> Listener:
        listener = Listener()
        stream = EventStream(credentials, listener, lambda: place, SystemClock(), random.Random())
        stream.start()
        streams.append(stream)
        return listener

    yield start
    for stream in streams:
        stream.stop()
        assert not stream._thread.is_alive()


def test_commits_and_new_devices_are_heard(town, client, listening):
    listener = listening(town.device("frame"))
    listener.wait_for("connected", True)
    town.save(client, ("file", b"x"))
    listener.wait_for("head", 1)
    town.device("sign")
    listener.wait_for("peers")


def test_stream_that_has_seen_all_is_told_nothing(town, client, listening):
    town.save(client, ("file", b"x"))
    listener = listening(town.device("frame"), (client.folder().epoch, 1))
    listener.wait_for("connected", True)
    town.save(client, ("file2", b"x"))
    assert listener.heard.get(timeout=10) == ("head", 2)


def test_revoked_device_loses_its_open_stream(town, listening):
    credentials = town.device("frame")
    listener = listening(credentials)
    listener.wait_for("connected", True)
    revoke(town, credentials.device)
    listener.wait_for("connected", False)
    listener.wait_for("denied")


@pytest.mark.parametrize("tls", [True, False])
def test_webhook_is_posted_and_understood(town, client, tls):
    credentials = town.device("frame")
    with Hosted(tls=tls, credentials=credentials) as hosted:
        hosted.cursor = (client.folder().epoch, 0)
        frame = HubClient(credentials)
        frame.put_webhook(hosted.port, tls, "/notify")
        town.save(client, ("file", b"x"))
        wait_until(lambda: hosted.heads == [(hosted.cursor[0], 1)])
        frame.delete_webhook()
        town.save(client, ("file2", b"x"))
        frame.close()
    assert len(hosted.heads) == 1


# --- peers


def test_devices_of_one_folder_prove_themselves_to_each_other(town):
    """With the certificates that the real hub signs."""
    lender, borrower, stranger = (town.device(name) for name in ("lender", "borrower", "stranger"))
    revoke(town, stranger.device)
    members = Members()
    members.update(HubClient(lender).peers())
    chunks = {sha256(data).digest(): data for data in (os.urandom(1000) for _ in range(10))}
    with Hosted(members, credentials=lender) as hosted:
        hosted.chunks = chunks
        for credentials, expected in ((borrower, chunks), (stranger, {})):
            peers = PeerSet(credentials, members, ManualClock(), random.Random(1))
            peers.found(lender.device, "127.0.0.1", hosted.port)
            assert {digest: bytes(data) for digest, data in peers.fetch(b"".join(chunks))} == expected


def wait_until(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
