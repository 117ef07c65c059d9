"""Being on the network, and staying: joins, notices drops and other addresses, tries again. `network` is given.

turn() is called often and never waits. Where MicroPython has no network module (Linux) the network is always there.
"""

from toastbox.core.backoff import delay_s

TRY_MS = 20000  # for one attempt: the chip scans, joins, asks for an address
CAP_S = 120
UP_MS = 3000
DOWN_MS = 250


class Wired:
    """A network that others care for."""

    address = "127.0.0.1"
    state = "up"

    def turn(self, now):
        return False

    def wait_ms(self):
        return 60000


class Wifi:
    """address: ours, "" while there is none. state: for people. name: how the network knows this board."""

    def __init__(self, network, settings, name, chance):
        self._chance = chance
        self._settings = settings
        self._attempts = 0
        self._until = 0
        self.address = ""
        self.state = "no network is set"
        if hasattr(network, "hostname"):
            network.hostname(name)
        if hasattr(network, "country") and settings.get("wifi_country"):
            network.country(settings["wifi_country"])
        self._wlan = network.WLAN(network.STA_IF)
        self._wlan.active(True)

    def set(self):
        """The settings say another network now."""
        self._attempts = self._until = 0
        self._wlan.disconnect()
        self.address = ""

    def turn(self, now):
        """True when there is an address that was not there before."""
        if not self._settings.get("wifi", ("",))[0]:
            return False
        address = self._wlan.ifconfig()[0] if self._wlan.isconnected() else ""
        if address in ("", "0.0.0.0"):
            self._down(now)
            return False
        self._attempts = self._until = 0
        self.state = "up"
        changed, self.address = address != self.address, address
        return changed

    def wait_ms(self):
        return UP_MS if self.address else DOWN_MS

    def scan(self):
        """[(ssid, dBm, protected)] of what is in reach."""
        found = []
        for item in self._wlan.scan():
            found.append((item[0].decode(), item[3], item[4] != 0))
        return found

    def _down(self, now):
        if self.address:
            self.address, self.state = "", "lost"
        if now < self._until:
            return
        self._attempts += 1
        ssid, password = self._settings["wifi"]
        self.state = "joining %s, try %d" % (ssid, self._attempts)
        if self._attempts > 1:
            self._wlan.disconnect()
        fixed = self._settings.get("network_address", "dhcp")
        if fixed not in ("", "dhcp"):
            self._wlan.ifconfig(_fixed(fixed, self._settings))
        try:
            self._wlan.connect(ssid, password)
        except OSError as error:
            self.state = "cannot join: %s" % error
        self._until = (
            now + TRY_MS + int(1000 * delay_s(self._attempts, self._chance(), 1, CAP_S)) * (self._attempts > 3)
        )


def _fixed(address, settings):
    """What ifconfig() wants of ADDRESS/PREFIX."""
    host, _, prefix = address.partition("/")
    mask = 0xFFFFFFFF << (32 - int(prefix)) & 0xFFFFFFFF
    gateway = settings.get("network_gateway") or "0.0.0.0"
    return (
        host,
        ".".join([str(mask >> at & 255) for at in (24, 16, 8, 0)]),
        gateway,
        settings.get("network_dns") or gateway,
    )
