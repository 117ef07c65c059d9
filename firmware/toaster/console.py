"""The serial console: core/console decides what bytes mean, this does what was asked for.

It is loaded when the first byte comes and let go of after IDLE_MS without one: it takes a fifth of a small heap, and
most boards never hear a byte after their first day. A board that syncs answers between two requests to the hub.
"""

import gc
import os
import sys
import time
from binascii import hexlify

import start

from toastbox.core import console as core
from toastbox.core import console_settings
from toastbox.core.auth import equal
from toastbox.core.errors import WireError
from toastbox.core.pairing import decode_code
from toaster.http import Refused

JOIN_MS = 25000
MODES = {"two-way": "", "receive-only": "receive", "send-only": "send"}


def _one_of(*choices):
    """A check for the one or other word."""

    def check(text):
        if text not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return text

    return check


def _check_seconds(text):
    if not text.isdigit() or not 1 <= int(text) <= 86400:
        raise ValueError("seconds, 1 to 86400")
    return text


def _check_patterns(text):
    if len(text) > 400:
        raise ValueError("patterns with commas between, at most 400 characters")
    return text


_check_https = console_settings.SETTINGS["hub"][0]


def _check_hub(text):
    if text[:7] != "http://":
        return _check_https(text)
    if ":" not in text[7:]:
        raise ValueError("a hub without TLS is http://HOST:PORT, as the hub prints it")
    _check_https("https://" + text[7:])
    return text


def _place(url):
    """(host, port, whether without TLS) of a hub's URL."""
    plain = url[:5] == "http:"
    text = url[7 if plain else 8 :]
    host, _, port = text.rpartition(":") if ":" in text else (text, "", "8269")
    return host, int(port), plain


# What a toaster has beyond the settings of every board.
OWN = {
    "hub": (
        _check_hub,
        "",
        False,
        "https://HOST:PORT; http://HOST:PORT: without TLS, if its owner allows that",
    ),
    "only": (_check_patterns, "", False, "patterns with commas between: all else is left alone"),
    "append": (_check_patterns, "", False, "patterns of logs that only grow"),
    "announce": (
        _one_of("hub", "self", "none"),
        "hub",
        False,
        "hub, self or none: who tells others on the LAN of this board",
    ),
    "push": (_one_of("hook", "events", "none"), "hook", False, "hook, events or none: how the hub tells of changes"),
    "safety": (_check_seconds, "900", False, "seconds until the hub is asked unasked"),
    "scan": (_check_seconds, "10", False, "seconds between looks at the folder"),
}


class Console:
    """program: what it belongs to. write(bytes): the line. after: what is done behind the answer."""

    def __init__(self, program, write):
        self._program = program
        self._write = write
        self._after = None
        console_settings.add(OWN)
        self._session = core.Session(lambda: bool(program.settings.get("console_password")))

    def feed(self, data, now):
        self._session.feed(data, now / 1000)
        self._run()

    def tick(self, now):
        self._session.tick(now / 1000)
        self._run()

    def wait_ms(self, now):
        wake = self._session.wake_s()
        return 60000 if wake is None else max(int(wake * 1000) - now, 0) + 1

    def _run(self):
        while True:
            out, command = self._session.next()
            if out:
                self._write(out)
            if command is not None:
                self._session.answer(self._answer(command))
            elif not out:
                break
        if self._after is not None:
            after, self._after = self._after, None
            after()

    def _answer(self, command):
        work = getattr(self, "do_" + command.name.replace("-", "_").replace(" ", "_"), None)
        if work is None:
            return core.Answer(None, "a toaster cannot do this", core.REFUSED)
        try:
            return core.Answer(work(command.args))
        except Answered as error:
            return core.Answer(None, str(error), error.code)
        except (OSError, Refused, WireError) as error:
            return core.Answer(None, str(error) or type(error).__name__, core.FAILED)
        except ValueError as error:
            return core.Answer(None, str(error), core.WRONG)
        except MemoryError:
            gc.collect()
            return core.Answer(None, "no memory for this now", core.FAILED)

    # --- what each does

    def do_hello(self, args):
        settings = self._program.settings
        version = "program %d" % start.version_of(self._program.starts.slot)
        board = settings.get("board", sys.platform)
        found = {"protocol": 1, "version": version, "hostname": self._host(), "board": board}
        if not self._program.boot:
            self._program.boot = hexlify(os.urandom(8)).decode()
        found["boot"] = self._program.boot
        return found

    def do_auth(self, args):
        time.sleep(1)
        if not equal(args["password"].encode(), self._program.settings.get("console_password", "").encode()):
            raise Answered("wrong password", core.REFUSED)

    def do_status(self, args):
        told = {"hostname": self._host(), "paired": bool(self._program.settings.get("device"))}
        told["state"] = self._program.trouble or self._program.mode()
        told.update(self._program.status())
        fault = self._program.starts.fault().strip()
        if fault:
            told["last_fault"] = fault.split("\n")[-1]
        return told

    def do_show(self, args):
        return {key: console_settings.shown(key, self._get(key)) for key in console_settings.names()}

    def do_set(self, args):
        values = {}
        for key in args["values"]:
            values[key] = console_settings.check(key, args["values"][key])
        settings = self._program.settings
        if values.get("hub", "")[:6] == "https:" and settings.get("device") and "certificate" not in settings:
            raise Answered("this board was paired without TLS: unpair it, then pair it again", core.REFUSED)
        for key in values:
            self._put(key, values[key])
        self._program.save()
        moves = [key for key in values if key[:5] == "wifi." or key[:8] == "network."]
        self._after = self._renew if moves else self._program.open
        return {key: console_settings.shown(key, values[key]) for key in values}

    def do_wifi_scan(self, args):
        if not hasattr(self._program.network, "scan"):
            raise Answered("there is no Wi-Fi here", core.FAILED)
        found = []
        for ssid, signal, protected in self._program.network.scan():
            found.append({"ssid": ssid, "signal": signal, "security": "wpa2" if protected else "open"})
        return found

    def do_pair(self, args):
        program, settings = self._program, self._program.settings
        if settings.get("device"):
            raise Answered("this board is paired: unpair comes first", core.REFUSED)
        url = console_settings.check("hub", args.get("hub", "")) or self._get("hub")
        if not program.network.address:
            raise Answered("there is no network yet: " + program.network.state, core.FAILED)
        host, port, plain = _place(url or _find(args["code"]))
        if plain:
            from toaster.plain_pairing import pair_plainly as pair
        else:
            from toaster.pairing import pair
        found = pair(args["code"], host, port, settings.get("name") or self._host(), program.arena[:8704])
        _quietly("shared/.toastbox/state")  # of a hub before: what vanished since was not deleted
        settings.update(found)
        settings["plain"] = plain
        program.save()
        self._after = program.open
        return {"device": found["device"], "folder": found["folder"], "hub": self._get("hub")}

    def do_unpair(self, args):
        settings = self._program.settings
        for name in ("device", "key", "certificate", "folder", "hub_id"):
            settings.pop(name, None)
        self._program.save()
        self._program.open()
        _quietly("shared/.toastbox/state")
        return "unpaired; the files stay"

    def do_log(self, args):
        lines = self._program.lines
        return lines[-args.get("count", 20) :] if args.get("count", 20) else []

    def do_network(self, args):
        network = self._program.network
        return {"state": network.state, "address": network.address}

    def do_reboot(self, args):
        if args.get("boot", self._program.boot) != self._program.boot:  # whoever asks again did not hear the answer
            return "has started again"
        self._after = self._program.starts.reset

    def do_factory_reset(self, args):
        phrase = "erase " + self._host()
        if args.get("phrase") != phrase:
            raise Answered("this erases settings, pairing and files; the phrase is: " + phrase, core.PHRASE)
        self._after = self._erase

    # --- for Improv

    def do_online(self, args):
        return {"online": bool(self._program.network.address), "url": ""}

    def do_info(self, args):
        hello = self.do_hello(args)
        return {"firmware": "Toastbox", "version": hello["version"], "hardware": hello["board"], "name": self._host()}

    def do_get_hostname(self, args):
        return {"hostname": self._host()}

    def do_get_name(self, args):
        return {"name": self._program.settings.get("name", "")}

    def do_wifi_join(self, args):
        program = self._program
        self._put("wifi.ssid", console_settings.check("wifi.ssid", args["ssid"]))
        self._put("wifi.password", console_settings.check("wifi.password", args["password"]))
        if not hasattr(program.network, "set"):
            raise Answered("there is no Wi-Fi here", core.FAILED)
        program.network.set()
        end = time.ticks_add(time.ticks_ms(), JOIN_MS)
        while not program.network.turn(program.clock.now()):
            if time.ticks_diff(end, time.ticks_ms()) < 0:
                raise Answered("could not join", core.FAILED)
            time.sleep_ms(100)
        program.save()
        self._after = program.open
        return {"url": ""}

    # --- settings

    def _host(self):
        return self._program.settings.get("hostname", "toastbox")

    def _get(self, key):
        """A setting as text."""
        settings = self._program.settings
        if key in ("wifi.ssid", "wifi.password"):
            return settings.get("wifi", ("", ""))[key == "wifi.password"]
        if key == "hub":
            scheme = "http" if settings.get("plain") else "https"
            return "%s://%s:%d" % (scheme, settings["hub"], settings["port"]) if settings.get("hub") else ""
        if key == "mode":
            return [name for name in MODES if MODES[name] == settings.get("mode", "")][0]
        if key in ("only", "append"):
            return ",".join(settings.get(key, ()))
        if key == "push":
            return settings.get("push", "hook") or "none"
        return str(settings.get(key.replace(".", "_"), console_settings.default(key)))

    def _put(self, key, value):
        settings = self._program.settings
        if key in ("wifi.ssid", "wifi.password"):
            wifi = list(settings.get("wifi", ("", "")))
            wifi[key == "wifi.password"] = value
            settings["wifi"] = wifi
        elif key == "hub":
            settings["hub"], settings["port"], settings["plain"] = _place(value)
        elif key == "mode":
            settings["mode"] = MODES[value]
        elif key in ("only", "append"):
            settings[key] = [text.strip() for text in value.split(",") if text.strip()]
        elif key == "push":
            settings["push"] = "" if value == "none" else value
        elif key in ("safety", "scan"):
            settings[key] = int(value)
        else:
            settings[key.replace(".", "_")] = value

    def _renew(self):
        """Join the network that the settings say now."""
        if hasattr(self._program.network, "set"):
            self._program.network.set()
        self._program.open()

    def _erase(self):
        from toaster.update import erase

        self._program.close()
        # Credentials first: cut here, a board that syncs would hand in what is erased as deleted. What a write of them
        # left before them, as it would be read in their place. Which slot holds the program is not forgotten.
        names = os.listdir("conf")
        names.sort(reverse=True)
        for name in names:
            if name[:5] != "start":
                _quietly("conf/" + name)
        erase("shared")
        self._program.starts.reset()


def _find(code):
    """URL of the hub that made the code."""
    from toaster.search import FIRST_WAIT_MS, find

    places = find(hexlify(decode_code(code)[0]).decode(), FIRST_WAIT_MS)
    if not places:
        raise Answered("the hub is not found on this network: set hub https://HOST:PORT", core.FAILED)
    return "https://%s:%d" % places[0]


class Answered(Exception):
    """Why a command was not done. code: as core/console has them."""

    def __init__(self, text, code):
        super().__init__(text)
        self.code = code


def _quietly(name):
    try:
        os.remove(name)
    except OSError:
        pass
