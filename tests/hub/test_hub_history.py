"""Log, versions and restore."""

import pytest

from hubkit import commit, deletion, file, folder, link, live, put
from toastbox.hub.journal.base import Device
from toastbox.hub.refusal import Refusal
from toastbox.hub.service import HubService


@pytest.fixture
def seqs(service: HubService, device: Device) -> None:
    put(service, device, b"one", b"two")
    commit(service, device, folder("d"), file("d/x", b"one"), file("d/x", b"two", seq=2))
    commit(service, device, deletion("d/x", 3), deletion("d", 1))


@pytest.mark.usefixtures("seqs")
def test_log_is_newest_first(service: HubService, device: Device) -> None:
    log = service.log(device, 0, 3)
    assert [entry["seq"] for entry in log] == [5, 4, 3]
    assert log[2] == {
        "seq": 3, "path": "d/x", "kind": "file", "size": 3,
        "device": device.number, "name": device.name, "parent": 2, "time": service.clock.now_s(),
    }  # fmt: skip
    assert [entry["kind"] for entry in service.log(device, 3, 100)] == ["file", "folder"]


@pytest.mark.usefixtures("seqs")
def test_versions_are_the_chain_of_one_path(service: HubService, device: Device) -> None:
    versions = service.versions(device, b"d/x")
    assert [(version["seq"], version["kind"]) for version in versions] == [(4, "deleted"), (3, "file"), (2, "file")]
    with pytest.raises(Refusal) as refused:
        service.versions(device, b"d/y")
    assert refused.value.status == 404


@pytest.mark.usefixtures("seqs")
def test_restore_brings_the_folder_back_too(service: HubService, device: Device) -> None:
    assert service.restore(device.folder, device.number, b"d/x", 2) == 7
    service.flush()
    assert live(service, device) == {"d": 6, "d/x": 7}
    restored = service.versions(device, b"d/x")[0]
    assert (restored["parent"], restored["size"]) == (4, 3)


@pytest.mark.usefixtures("seqs")
@pytest.mark.parametrize(("path", "seq"), [(b"d/x", 4), (b"d/x", 1), (b"d/x", 99), (b"d/x", 0), (b"d/x", 1 << 70)])
def test_only_versions_with_content_can_be_restored(service: HubService, device: Device, path: bytes, seq: int) -> None:
    with pytest.raises(Refusal) as refused:
        service.restore(device.folder, device.number, path, seq)
    assert refused.value.status == 404


@pytest.mark.parametrize("path", [b"../x", b"/x", b"", b"a//b", b".toastbox/x", b"\xff"])
def test_restore_of_what_is_no_path(service: HubService, device: Device, path: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        service.restore(device.folder, device.number, path, 1)
    assert refused.value.status == 400


def test_restore_does_not_replace_a_folder_with_content(service: HubService, device: Device) -> None:
    put(service, device, b"one")
    commit(service, device, file("x", b"one"), folder("x", seq=1), file("x/y", b"one"))
    with pytest.raises(Refusal) as refused:
        service.restore(device.folder, device.number, b"x", 1)
    assert refused.value.status == 409
    commit(service, device, deletion("x/y", 3))
    assert service.restore(device.folder, device.number, b"x", 1) == 5


def test_restore_below_a_file_is_refused(service: HubService, device: Device) -> None:
    put(service, device, b"one")
    commit(service, device, folder("d"), link("d/l", "x"), deletion("d/l", 2), file("d", b"one", seq=1))
    with pytest.raises(Refusal) as refused:
        service.restore(device.folder, device.number, b"d/l", 2)
    assert refused.value.status == 409
