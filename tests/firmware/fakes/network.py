"""A Wi-Fi as MicroPython shows it; what it is like is in the file `wifi`: address, or nothing when there is none."""

STA_IF = 0


def hostname(name):
    with open("wifi.name", "w") as file:
        file.write(name)


class WLAN:
    def __init__(self, interface):
        self._joined = None

    def active(self, on):
        pass

    def connect(self, ssid, password):
        with open("wifi.tries", "a") as file:
            file.write("%s %s\n" % (ssid, password))
        self._joined = ssid

    def disconnect(self):
        self._joined = None

    def isconnected(self):
        return bool(self._joined and self._read())

    def ifconfig(self):
        return (self._read() or "0.0.0.0", "255.255.255.0", "10.0.0.1", "10.0.0.1")

    def scan(self):
        return [(b"home", b"\0" * 6, 1, -50, 3, False)]

    def _read(self):
        try:
            with open("wifi") as file:
                return file.read().strip()
        except OSError:
            return ""
