"""Names, claims and addresses: tables, no network."""

import pytest

from toastbox.addresses import Own, announced, nearest
from toastbox.neighbours import (
    MAX_LABEL,
    MAX_SERVICES,
    ROOM_FOR_NUMBER,
    Found,
    Neighbours,
    Service,
    folder_hash,
    hub_id,
    instance_label,
    read_service,
    txt_of,
)

HUB = Service("hub", "a" * 32, "kitchen", 4433, ("ab" * 8,), "0.1")
DEVICE = Service("device", "12", "pi", 5555, ("ab" * 8,), "0.1")


def as_bytes(txt: dict[str, str]) -> dict[bytes, bytes | None]:
    return {key.encode(): value.encode() for key, value in txt.items()}


def claim(service: Service = HUB, **changes) -> Found | None:
    txt = as_bytes(txt_of(service)) | {key.encode(): value for key, value in changes.items()}
    return read_service(txt, service.port, "10.0.0.1")


@pytest.mark.parametrize("service", [HUB, DEVICE, HUB._replace(folders=()), HUB._replace(folders=("ab" * 8,) * 14)])
def test_what_is_said_is_understood(service):
    found = claim(service)
    assert (found.role, found.id, found.name, found.folders, found.version) == (
        service.role,
        service.id,
        service.name,
        service.folders,
        service.version,
    )
    assert found.url == f"https://10.0.0.1:{service.port}"


def test_txt_strings_fit_their_length_byte():
    service = HUB._replace(name="ü" * 200, folders=("ab" * 8,) * 100, version="1" * 100)
    assert max(len(key) + 1 + len(value) for key, value in as_bytes(txt_of(service)).items()) <= 255
    assert claim(service) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"txtvers": b"2"},
        {"txtvers": None},
        {"role": b"king"},
        {"role": b"device"},
        {"id": b""},
        {"id": b"A" * 32},
        {"id": b"a" * 33},
        {"id": b"\xff" * 32},
        {"fh": b"ab"},
        {"fh": b","},
        {"fh": b",".join([b"ab" * 8] * 15)},
    ],
)
def test_claim_in_another_form_is_none(change):
    assert claim(**change) is None


@pytest.mark.parametrize("identifier", [b"0", b"012", b"-1", b"4294967296", b"1" * 11, "²".encode(), b"1 "])
def test_device_number_has_one_form(identifier):
    assert claim(DEVICE, id=identifier) is None


@pytest.mark.parametrize("port", [None, 0, -1, 65536])
def test_claim_without_a_port_is_none(port):
    assert read_service(as_bytes(txt_of(HUB)), port, "10.0.0.1") is None


def test_claim_without_an_address_is_none():
    assert read_service(as_bytes(txt_of(HUB)), 1, "") is None


def test_ipv6_address_is_bracketed():
    assert read_service(as_bytes(txt_of(HUB)), 1, "fd00::1").url == "https://[fd00::1]:1"


def test_name_cannot_move_the_cursor():
    assert claim(name=b"\x1b[2J\r\nx\xe2\x80\xaey").name == "[2Jxy"


@pytest.mark.parametrize("name", ["", "...", "kitchen", "a.b", "ü" * 60, "\U0001f35e" * 20, "\0"])
@pytest.mark.parametrize("service", [HUB, DEVICE, DEVICE._replace(id="4294967295")])
def test_instance_name_is_one_label_with_room_to_be_renamed(service, name):
    label = instance_label(service._replace(name=name))
    assert "." not in label
    assert len(label.encode()) <= MAX_LABEL - ROOM_FOR_NUMBER


def test_hubs_of_one_name_announce_different_ones():
    assert instance_label(HUB) != instance_label(HUB._replace(id="b" * 32))
    assert instance_label(DEVICE) != instance_label(DEVICE._replace(folders=("cd" * 8,)))


def test_ids_do_not_tell_what_they_stand_for():
    assert len(folder_hash("ab" * 16)) == 16
    assert folder_hash("ab" * 16) not in "ab" * 16
    assert len(hub_id(b"certificate")) == 32


def test_table_is_bounded_and_keeps_who_came_first():
    table, found = Neighbours(), claim()
    assert table.put("first", found)
    for number in range(2 * MAX_SERVICES):
        table.put(f"flood {number}", found._replace(port=number + 1))
    assert len(table) == MAX_SERVICES
    assert table.put("FIRST", found._replace(port=9))
    assert table.remove("first").port == 9
    assert table.remove("first") is None


def test_same_claim_again_is_no_news():
    table = Neighbours()
    assert [table.put("a", claim()), table.put("a", claim()), table.put("a", claim(name=b"b"))] == [True, False, True]


def test_hubs_are_listed_first():
    table = Neighbours()
    table.put("1", claim(DEVICE._replace(name="a")))
    table.put("2", claim(HUB._replace(name="b")))
    assert [each.role for each in table.all()] == ["hub", "device"]


LOOPBACK, LAN_OWN, BRIDGE = Own("127.0.0.1", 8), Own("192.168.1.5", 24), Own("172.17.0.1", 16)


@pytest.mark.parametrize(
    ("claimed", "own", "expected"),
    [
        (["10.1.1.1", "192.168.1.9"], [LOOPBACK, LAN_OWN], "192.168.1.9"),
        (["172.17.0.1", "192.168.1.9"], [LOOPBACK, LAN_OWN, BRIDGE], "192.168.1.9"),
        (["172.17.0.1", "192.168.1.5"], [LOOPBACK, LAN_OWN, BRIDGE], "172.17.0.1"),
        (["10.1.1.1"], [LOOPBACK, LAN_OWN], "10.1.1.1"),
        (["fd00::1", "10.1.1.1"], [LAN_OWN], "10.1.1.1"),
        (["192.168.1.9", "192.168.1.8"], [LAN_OWN], "192.168.1.9"),
        (["127.0.0.1"], [LOOPBACK, LAN_OWN], ""),
        (["127.0.0.1"], [LOOPBACK], "127.0.0.1"),
        (["0.0.0.0", "224.0.0.251", "::", "ff02::fb", "fe80::1", "nonsense", ""], [LAN_OWN], ""),
        ([], [LAN_OWN], ""),
    ],
)
def test_nearest_address_is_tried(claimed, own, expected):
    assert nearest(claimed, own) == expected


def test_loopback_is_announced_only_when_there_is_nothing_else():
    assert announced([LOOPBACK, LAN_OWN]) == ["192.168.1.5"]
    assert announced([LOOPBACK]) == ["127.0.0.1"]
