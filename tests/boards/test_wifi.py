"""Wi-Fi as far as no radio is needed: cards come up, a country's rules are believed, looking around works.

The cards are those that the kernel can simulate. Nobody else is there, so no network is found.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from guest import Guest
from toastbox import boards
from tools.image.build import Wishes, build

pytestmark = [pytest.mark.whole, pytest.mark.timeout(3600)]

SCAN = "python3 -s -c 'from toastbox.device.console_system import LinuxSystem as S; print(S(\"/no\").wifi_scan())'"


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a made-up board: the 32-bit machine with room for two radios."""
    text = (boards.OWN / "virt-armhf.toml").read_text()
    text = text.replace('links = ["ethernet"]', 'links = ["ethernet", "wifi"]').replace("64MiB", "128MiB")
    text = text.replace('"virtio_rng"]', '"virtio_rng", "mac80211_hwsim"]')
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards" / "virt-wifi.toml").write_text(text)
    monkeypatch.setenv("TOASTBOX_BOARDS", str(tmp_path / "boards"))
    path = tmp_path / "wifi.img"
    build(boards.load("virt-wifi"), Wishes({}), path, lambda text: None)
    return path


def test_cards_obey_a_country_and_look_around(image: Path, guests: Callable[..., Guest]) -> None:
    board = guests(image)
    board.start()
    board.login()
    board.until("iw dev wlan0 info")
    board.ask("iw reg set DE")  # from regulatory.db, if its signature is one that the kernel trusts
    board.until("iw reg get | grep -q 'country DE: DFS-ETSI'")
    assert board.until(SCAN).strip() == "[]"
