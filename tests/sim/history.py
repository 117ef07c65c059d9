"""One history: three devices, their users, a hub, bad luck; then quiet; then the promises are checked.

The seed decides which kinds of trouble the history has at all (`Weather`), and then everything that happens.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, fields

from toastbox.core.entry import FILE as ENTRY_FILE
from toastbox.core.entry import FOLDER as ENTRY_FOLDER
from toastbox.core.ignore import IgnoreRules
from toastbox.core.names import path_of, why_bad
from toastbox.device.engine import SEND_ONLY, TWO_WAY

from .clock import SECOND, YEAR_1970, YEAR_2026, YEAR_2107, DeviceClock, HubClock, Time
from .device import SimDevice
from .disk import FILE, FOLDER, LINK
from .hub import Hub
from .kernel import Kernel, Mounted
from .promises import Broken, Ledger, brief
from .remote import Network
from .setting import Setting
from .small import small_sizes
from .user import IGNORE_FILE, User

DEVICES = ("one", "two", "three")
MOST_ROUNDS = 16
MOST_DEPTH = 2  # rounds of other devices inside a round
MOST_ACTS = 120  # of users
MOST_LINES = 200_000
UPLOADS_FORGOTTEN_S = 1300  # at the hub, then by devices that had fetched of them
SHOWN_DIFFERENCES = 3
Tree = dict[bytes, tuple[int, bytes, bool]]


@dataclass
class Weather:
    """Chances of trouble in a history; drawn first."""

    steps: int
    network: float
    between: float  # a turn for others before and after a request
    at_work: float  # a user acts between two system calls
    deaths: float
    power: bool
    hub_deaths: bool
    restore: bool
    full: bool
    clocks: bool
    missed_events: float

    @classmethod
    def drawn(cls, chance: random.Random) -> "Weather":
        return cls(
            steps=chance.choice((8, 15, 25, 40)),
            network=chance.choice((0.0, 0.0, 0.05, 0.2)),
            between=chance.choice((0.0, 0.1, 0.3)),
            at_work=chance.choice((0.0, 0.0, 0.002, 0.02)),
            deaths=chance.choice((0.0, 0.0, 0.1, 0.3)),
            power=chance.random() < 0.5,
            hub_deaths=chance.random() < 0.3,
            restore=chance.random() < 0.15,
            full=chance.random() < 0.2,
            clocks=chance.random() < 0.3,
            missed_events=chance.choice((0.0, 0.1, 0.5)),
        )

    def __str__(self) -> str:
        return ", ".join(f"{field.name} {getattr(self, field.name)}" for field in fields(self))


class History:
    """A seed, played. log(line): every step, for a trace."""

    def __init__(self, seed: int, log: Callable[[str], None] | None = None) -> None:
        self.seed = seed
        self._log = log
        self._lines = 0
        self.chance = chance = random.Random(seed)
        self.weather = Weather.drawn(chance)
        self.setting = Setting.drawn(seed)
        self.time = Time()
        self.kernel = Kernel()
        self.hub = Hub(HubClock(self.time), DEVICES)
        self.ledger = Ledger(self.hub)
        self.network = Network(self.hub, self.ledger, chance, self._turn)
        self.devices = [self._device(name) for name in DEVICES]
        self.devices[-1].mode = self.setting.mode
        if self.setting.mode == SEND_ONLY:
            self.ledger.overrules.add(self.devices[-1].name)
        self.users = [self._user(device) for device in self.devices]
        self._depth = 0
        self._acts_left = MOST_ACTS

    def _device(self, name: str) -> SimDevice:
        clock = DeviceClock(self.time)
        tick_ns = self.chance.choice((1, 4_000_000, 4_000_000, SECOND, 2 * SECOND))
        disk = Mounted(clock.wall_ns, tick_ns, self.chance.random() < 0.7)
        disk.names_in_listing = self.chance.choice((2, 5, 1000))
        self.ledger.watch(name, disk)
        device = SimDevice(name, self.kernel, disk, clock, self.network, self.ledger, self.chance, self._trace)
        return device

    def _user(self, device: SimDevice) -> User:
        def tell(path: bytes, tree: bool) -> None:
            self.ledger.touched(device.name, path)
            if self.chance.random() >= self.weather.missed_events:
                device.told.add((path, tree))
            elif self.chance.random() < 0.5:
                device.overflown = True

        user = User(device.name, device.disk, self.chance, self.ledger, tell)
        device.act = lambda: self._at_work(device, user)
        return user

    def _trace(self, who: str, what: str) -> None:
        self._lines += 1
        if self._lines > MOST_LINES:
            raise Broken("does not end")
        if self._log is not None:
            self._log(f"{'  ' * self._depth}{who}: {what}")

    # --- playing

    def play(self) -> None:
        """Raises Broken, or whatever else should not happen."""
        self._trace("weather", str(self.weather))
        self._trace("setting", str(self.setting))
        with small_sizes(), self.kernel.installed(), self.setting.installed():
            self._trouble()
            for number in range(self.weather.steps):
                if number == self.setting.revokes_after:
                    self.network.revoked.add(self.devices[-1].name)
                self._one_step()
            self._be_quiet()
            self._settle()
        self._check()

    def _trouble(self) -> None:
        self.network.trouble = self.weather.network
        self.network.deaths = self.weather.hub_deaths
        self.network.hub_full = self.setting.hub_full
        for device in self.devices:
            device.disk.plain = self.setting.plain_disks and not self.weather.at_work and not self.weather.between

    def _one_step(self) -> None:
        weather, chance = self.weather, self.chance
        at = chance.randrange(len(self.devices))
        happenings: list[tuple[float, Callable[[], None]]] = [
            (6, lambda: self._user_acts(self.users[at])),
            (4, lambda: self._run(self.devices[at])),
            (2, self._wait),
            (1, self.devices[at].writeback),
            (4 * weather.deaths, lambda: self._doom(self.devices[at])),
            (weather.deaths, lambda: self._kill(self.devices[at])),
            (0.5 * weather.hub_deaths, self._hub_power_cut),
            (0.5 * weather.restore, self.hub.back_up),
            (0.3 * weather.restore, self._restore),
            (1.0 * weather.full, lambda: self._fill(self.devices[at])),
            (0.5 * weather.clocks, lambda: self._jump(self.devices[at])),
        ]
        weights = [weight for weight, _ in happenings]
        chance.choices(happenings, weights)[0][1]()

    def _user_acts(self, user: User) -> None:
        done = user.act()
        self._acts_left -= 1
        if done:
            self._trace(f"user of {user._name}", done)

    def _run(self, device: SimDevice) -> None:
        if device.running:
            return
        self._depth += 1
        self._trace(device.name, "runs")
        device.run()
        self._depth -= 1

    def _turn(self, name: str) -> None:
        """Before or after a request: others get their turn."""
        if self._acts_left <= 0 or self.chance.random() >= self.weather.between:
            return
        if self.chance.random() < 0.5 or self._depth > MOST_DEPTH:
            self._user_acts(self.chance.choice(self.users))
        else:
            self._run(self.chance.choice(self.devices))

    def _at_work(self, device: SimDevice, user: User) -> None:
        if self.weather.at_work and self._acts_left > 0 and self.chance.random() < self.weather.at_work:
            self._user_acts(user)

    def _wait(self) -> None:
        self.time.advance(self.chance.choice((1_000_000, 30_000_000, 5 * SECOND, 3600 * SECOND)))

    # --- bad luck

    def _doom(self, device: SimDevice) -> None:
        """It will die soon, in the middle of something."""
        device.dies_in = int(self.chance.expovariate(1 / 30)) + 1
        device.dies_by_power = self.weather.power and self.chance.random() < 0.5
        self._trace(device.name, f"will die in {device.dies_in} steps")

    def _kill(self, device: SimDevice) -> None:
        device.die(self.weather.power and self.chance.random() < 0.5)

    def _hub_power_cut(self) -> None:
        self._trace("hub", "POWER CUT")
        self.network.hub_dies()

    def _restore(self) -> None:
        self._trace("hub", "an older journal is put back")
        self.hub.restore()
        self.ledger.restored()

    def _fill(self, device: SimDevice) -> None:
        device.disk.full = not device.disk.full
        self._trace(device.name, "disk is full" if device.disk.full else "disk has room")

    def _jump(self, device: SimDevice) -> None:
        year = self.chance.choice((YEAR_1970, YEAR_2026, YEAR_2107))
        device.clock.jump(year + self.chance.randrange(10**15))
        self._trace(device.name, "clock jumps")

    # --- quiet

    def _be_quiet(self) -> None:
        """No edits, no trouble any more."""
        self._trace("all", "QUIET")
        for user in self.users:
            user.finish()
        self._acts_left = 0
        self.network.trouble = self.network.hub_full = 0.0
        for device in self.devices:
            device.dies_in = 0
            device.disk.full = False

    def _settle(self) -> None:
        """Rounds until one of them changes nothing; then another must change nothing either."""
        for _ in range(MOST_ROUNDS):
            before = self._position()
            self._whole_round()
            if self._position() == before:
                break
        else:
            raise Broken(f"does not come to rest in {MOST_ROUNDS} rounds")
        self._hear_out()
        self.time.advance(UPLOADS_FORGOTTEN_S * SECOND)
        self._whole_round()
        before = self._position()
        self._whole_round()
        if self._position() != before:
            raise Broken("a second run does something")

    def _hear_out(self) -> None:
        """Nobody has heard of an upload that he has not yet followed: it would be fetched at any later moment."""
        for device in self.devices:
            while device.engine is not None and device.engine.fetch_ahead():
                pass

    def _whole_round(self) -> None:
        for device in self.devices:
            device.overflown = True
            device.accepts_deletes = device.accepts_deletes or self.setting.careful
            self._run(device)
            if device.engine is not None and device.name not in self.network.revoked:
                device.engine.retry_held()
                self.time.advance(3 * SECOND)
                device.engine.confirm()
            self._run(device)

    def _position(self) -> tuple[int, ...]:
        gone = self.network.revoked
        return self.hub.head, *(device.disk.changes for device in self.devices if device.name not in gone)

    # --- checks at the end

    def _check(self) -> None:
        self.ledger.check_versions()
        self.ledger.check_hub()
        gone = self.network.revoked
        equal = [device for device in self.devices if device.mode == TWO_WAY and device.name not in gone]
        for device in equal:
            self._check_device(device)
        rules = self._rules()
        trees = [self._tree(device, rules) for device in equal]
        for device, tree in zip(equal[1:], trees[1:], strict=True):
            if tree != trees[0]:
                raise Broken(f"{self.devices[0].name} and {device.name} differ: {difference(trees[0], tree)}")
        if self._journal(rules) != trees[0]:
            raise Broken(f"{self.devices[0].name} and the journal differ: {difference(trees[0], self._journal(rules))}")

    def _check_device(self, device: SimDevice) -> None:
        engine = device.engine
        if engine is None or not engine.in_step or engine.unconfirmed:
            raise Broken(f"{device.name} is not in step")
        if engine.cursor != self.hub.head:
            raise Broken(f"{device.name} has the cursor {engine.cursor}, the head is {self.hub.head}")
        if device.disk.staged():
            raise Broken(f"{device.name} leaves in its stage: {sorted(device.disk.stage.children)}")

    def _rules(self) -> IgnoreRules:
        inode = self.devices[0].disk.root.children.get(IGNORE_FILE)
        text = inode.data if inode is not None and inode.kind == FILE else b""
        return IgnoreRules(text.decode("utf-8", "replace"))

    def _tree(self, device: SimDevice, rules: IgnoreRules) -> Tree:
        tree: Tree = {}
        for path, inode, _ in device.disk.walk():
            if inode.kind in (FILE, FOLDER, LINK) and not left_alone(path, rules):
                executable = inode.kind == FILE and bool(inode.mode & 0o100)
                tree[path] = (inode.kind, inode.held, executable)
        return tree

    def _journal(self, rules: IgnoreRules) -> Tree:
        kinds = {ENTRY_FILE: FILE, ENTRY_FOLDER: FOLDER}
        return {
            path_of(row.key): (kinds.get(row.kind, LINK), self.hub.held_by(row) or b"", bool(row.flags & 1))
            for row in self.hub.live()
            if not left_alone(path_of(row.key), rules)
        }


def left_alone(path: bytes, rules: IgnoreRules) -> bool:
    """Whether a path need not be equal, for its name or the rules: also where only a folder of its name is ignored."""
    return bool(why_bad(path)) or rules.ignored(path, False) or rules.ignored(path, True)


def difference(one: Tree, other: Tree) -> str:
    lines = []
    for path in sorted(one.keys() | other.keys()):
        if one.get(path) != other.get(path):
            lines.append(f"{path!r}: {_show(one.get(path))} | {_show(other.get(path))}")
    more = f" and {len(lines) - SHOWN_DIFFERENCES} more" if len(lines) > SHOWN_DIFFERENCES else ""
    return "; ".join(lines[:SHOWN_DIFFERENCES]) + more


def _show(found: tuple[int, bytes, bool] | None) -> str:
    if found is None:
        return "nothing"
    kind = {FILE: "file", FOLDER: "folder", LINK: "link"}[found[0]]
    return f"{kind} {brief(found[1])}{' executable' if found[2] else ''}"
