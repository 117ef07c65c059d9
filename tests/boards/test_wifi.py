"""Wi-Fi, on cards that the kernel simulates: a country's rules, looking around, joining, and everything that is wrong.

The kernel encrypts for them, which a Raspberry's card does itself, so its modules for that are on the board too.
One of the two cards is the board's. The other goes to a network namespace of the same machine, where Debian's hostapd
makes an access point of it, and busybox gives addresses. Both are worked from a root shell on a port of its own, while
the board's console is on its serial port, as on a real board.
"""

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guest import Guest
from line import Line
from test_story import wait_for
from toastbox import boards
from toastbox.boards import Board
from toastbox.cli import image as command
from toastbox.cli.parser import build_parser
from toastbox.core import console_improv as improv
from tools.image import build, root
from tools.image.packages import Packages, cache_folder
from tools.image.tree import Tree

pytestmark = [pytest.mark.whole, pytest.mark.timeout(3600)]

SCAN = "python3 -s -c 'from toastbox.device.console_system import LinuxSystem as S; print(S(\"/no\").wifi_scan())'"
PASSWORD = "correct horse battery"
ACCESS_POINT = f"""interface=wlan1
ssid=home net
hw_mode=g
channel=6
wpa=2
wpa_key_mgmt=WPA-PSK
rsn_pairwise=CCMP
wpa_passphrase={PASSWORD}
"""
ADDRESSES = "interface wlan1\nstart 10.9.8.100\nend 10.9.8.120\nlease_file /tmp/leases\noption subnet 255.255.255.0\n"
INSIDE = "busybox nsenter -t $(cat /tmp/apart) -n"
REFUSED = "refused: is wifi.password right?"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of a made-up board: the 32-bit machine with room for two radios, to join an access point as its owner wished."""
    place = tmp_path_factory.mktemp("wifi")
    text = (boards.OWN / "virt-armhf.toml").read_text()
    text = text.replace('links = ["ethernet"]', 'links = ["ethernet", "wifi"]').replace("64MiB", "128MiB")
    text = text.replace('"virtio_rng"]', '"virtio_rng", "virtio_console", "ccm", "ctr", "cmac", "mac80211_hwsim"]')
    (place / "virt-wifi.toml").write_text(text)
    (place / "password").write_text(f"{PASSWORD}\n")
    words = ["image", "virt-wifi", "x", "--wifi", "home net", "--wifi-password-file", str(place / "password")]
    wishes = build.Wishes(command.settings(build_parser().parse_args(words)))
    path = place / "wifi.img"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOASTBOX_BOARDS", str(place))
        patch.setattr(root, "root", with_access_point(root.root))
        build.build(boards.load("virt-wifi"), wishes, path, lambda text: None)
        yield path


def with_access_point(real: Callable[..., Tree]) -> Callable[..., Tree]:
    """Makes a root that has hostapd too, and a login on the second port."""

    def made(board: Board, *rest: object) -> Tree:
        tree, access_point = real(board, *rest), Tree()
        assert board.system
        [package] = Packages(board.system.architecture, cache_folder()).fetch(["hostapd"])
        access_point.package(package, lambda path: path == "usr/sbin/hostapd")
        tree.nodes["usr/sbin/hostapd"] = access_point.nodes["usr/sbin/hostapd"]
        tree.file("etc/hostapd.conf", ACCESS_POINT)
        tree.file("etc/udhcpd.conf", ADDRESSES)
        tree.file("etc/inittab", tree.nodes["etc/inittab"].data + b"hvc0::respawn:/usr/sbin/getty -L hvc0 0 vt100\n")
        return tree

    return made


class Shell(Line):
    """The root shell on the second port."""

    def __init__(self, guest: Guest) -> None:
        super().__init__()
        self._guest = guest
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            number = free.getsockname()[1]
        guest.more = ["-device", "virtio-serial-device", "-device", "virtconsole,chardev=shell", "-chardev"]
        guest.more += [f"socket,id=shell,host=127.0.0.1,port={number},server=on,wait=off"]
        guest.start(login=False)
        self._serial = guest.connect(f"socket://127.0.0.1:{number}")
        guest.meet()
        self.type("")
        self.login()

    def runs(self) -> bool:
        return self._guest.runs()

    def set_up_access_point(self) -> None:
        self.until("iw dev wlan1 info")
        self.ask("(busybox unshare -n sleep 100000 & echo $! > /tmp/apart); sleep 1")
        self.ask("iw phy $(iw dev wlan1 info | awk '/wiphy/ {print \"phy\" $2}') set netns $(cat /tmp/apart)")
        self.ask(f"{INSIDE} ip link set wlan1 up; {INSIDE} ip addr add 10.9.8.1/24 dev wlan1")
        self.ask(f"{INSIDE} busybox udhcpd -S /etc/udhcpd.conf")

    def power_access_point(self, on: bool) -> None:
        self.ask(f"{INSIDE} hostapd -B -P /tmp/hostapd.pid /etc/hostapd.conf" if on else "kill $(cat /tmp/hostapd.pid)")


def wifi(board: Guest) -> str:
    """What the console's `network` says of the card's network and its addresses, if it has joined one."""
    [line] = [each for each in board.console("network").splitlines() if each.startswith("wlan0")]
    return line


def wait_for_text(board: Guest, *wanted: str) -> None:
    said = ""

    def there() -> bool:
        nonlocal said
        said = wifi(board)
        return all(each in said for each in wanted)

    wait_for(there, f"{wanted} in what network says")


def ask_improv(board: Guest, call: int, *strings: str) -> None:
    """As a browser does it; a board that has understood says first that there is no error."""
    data = b"".join(bytes([len(each.encode())]) + each.encode() for each in strings)
    board.send(improv.packet(improv.RPC, bytes([call, len(data)]) + data)[1:])
    board.hear(improv.error(improv.NO_ERROR))


def test_cards_obey_a_country_and_look_around(image: Path, guests: Callable[..., Guest]) -> None:
    board = guests(image)
    board.start()
    board.login()
    board.until("iw dev wlan0 info")
    board.ask("iw reg set DE")  # from regulatory.db, if its signature is one that the kernel trusts
    board.until("iw reg get | grep -q 'country DE: DFS-ETSI'")
    assert board.until(SCAN).strip() == "[]"


def test_board_joins_an_access_point_and_says_what_is_wrong(image: Path, guests: Callable[..., Guest]) -> None:
    board = guests(image)
    shell = Shell(board)
    shell.set_up_access_point()

    # By what the image was made with: as soon as the access point is there.
    wait_for_text(board, "home net", "not in sight")
    shell.power_access_point(True)
    wait_for_text(board, "home net", "joined", "10.9.8.1")
    assert "home net" in board.status()["wifi"] and "joined" in board.status()["wifi"]
    assert re.search(r"home net +-\d+ +wpa2", board.console("wifi scan"))
    shell.ask("ping -c 1 -W 5 10.9.8.1")

    # Out of reach, and back.
    shell.power_access_point(False)
    wait_for_text(board, "not in sight")
    shell.power_access_point(True)
    wait_for_text(board, "joined", "10.9.8.1")
    shell.ask("ping -c 1 -W 5 10.9.8.1")

    # A wrong password, on the console; then the right one.
    assert "(set)" in board.console("set wifi.password wrong-password")
    wait_for_text(board, REFUSED)
    assert REFUSED in board.status()["wifi"]
    board.console(f"set wifi.password {PASSWORD}")
    wait_for_text(board, "joined", "10.9.8.1")

    # Another network, that is not there; then this one again.
    board.console("set wifi.ssid elsewhere")
    wait_for_text(board, "elsewhere", "not in sight")
    board.console("set wifi.ssid home net")
    wait_for_text(board, "joined", "10.9.8.1")

    # By Improv: what is in reach; a network that refuses, after which all is as before; the right one.
    ask_improv(board, improv.SCAN)
    board.hear(b"\x08home net", improv.result(improv.SCAN, []))
    ask_improv(board, improv.WIFI, "home net", "wrong-password")
    board.hear(improv.state(improv.PROVISIONING), improv.state(improv.READY), improv.error(improv.CANNOT_CONNECT))
    board.console("")
    wait_for_text(board, "joined", "10.9.8.1")
    ask_improv(board, improv.GET_STATE)
    board.hear(improv.state(improv.PROVISIONED))
    board.console("")
    board.console("set wifi.ssid elsewhere")
    wait_for_text(board, "elsewhere", "not in sight")
    ask_improv(board, improv.WIFI, "home net", PASSWORD)
    board.hear(improv.state(improv.PROVISIONING), improv.state(improv.PROVISIONED), improv.result(improv.WIFI, [""]))
    wait_for_text(board, "joined", "10.9.8.1")
    assert PASSWORD not in board.all_heard.decode(errors="replace")
