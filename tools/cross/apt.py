"""A second apt beside the system's: packages of other architectures and releases, downloaded and unpacked only.

It has lists and settings of its own in a folder, so the host's package system neither changes nor knows. The mirror
and the key are those of the system's own sources, read here; no host is named in this repository.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SOURCES = (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d"))
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
ARCHITECTURES = ("amd64", "arm64", "armel", "armhf")


class AptError(Exception):
    """apt refused, or the system's sources name no Debian mirror; the text says what to do."""


def _entries(path: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """(URI, suites, components) of a file of apt sources, in either syntax."""
    text = path.read_text()
    if path.suffix == ".sources":
        for block in re.split(r"\n\s*\n", text):
            fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.*)$", block, re.M))
            if "deb" in fields.get("Types", "").split():
                for uri in fields["URIs"].split():
                    yield uri, fields["Suites"].split(), fields.get("Components", "").split()
        return
    for line in text.splitlines():
        if found := re.match(r"deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)", line):
            yield found[1], [found[2]], found[3].split()


def _files(sources: tuple[Path, ...]) -> list[Path]:
    paths = [path for source in sources for path in (sorted(source.iterdir()) if source.is_dir() else [source])]
    return [path for path in paths if path.suffix in (".sources", ".list") and path.is_file()]


def mirror(sources: tuple[Path, ...] = SOURCES) -> str:
    """The URI from which this system takes Debian. AptError when none is found."""
    for path in _files(sources):
        for uri, suites, components in _entries(path):
            if "main" in components and any(re.fullmatch(r"[a-z]+", suite) for suite in suites):
                return uri.rstrip("/")
    raise AptError("no Debian mirror in /etc/apt: add one to sources.list")


def fixes(release: str, sources: tuple[Path, ...] = SOURCES) -> list[tuple[str, str]]:
    """(URI, suite) of the release's updates and security fixes, where this system has them in its sources."""
    wanted = (f"{release}-updates", f"{release}-security")
    found = {
        suite: uri.rstrip("/") for path in _files(sources) for uri, suites, _ in _entries(path) for suite in suites
    }
    return [(found[suite], suite) for suite in wanted if suite in found]


class Place(NamedTuple):
    """A line of apt's sources. architectures: whose lists are asked for; none: those of the settings."""

    uri: str
    suite: str
    architectures: tuple[str, ...] = ()

    def options(self) -> str:
        """What stands in brackets."""
        only = f" arch={','.join(self.architectures)}" if self.architectures else ""
        return f"[signed-by={KEYRING}{only}]"


class Apt:
    """One release in a folder of its own. Lists are fetched once: `renew` has them anew.

    architectures: whose packages are wanted; with none of them only sources can be had, and half as much is fetched.
    with_fixes: the release's updates and security fixes too, if they can be had.
    """

    def __init__(
        self,
        folder: Path,
        release: str = "bookworm",
        components: tuple[str, ...] = ("main",),
        architectures: tuple[str, ...] = ARCHITECTURES,
        with_fixes: bool = False,
    ) -> None:
        self.release = release
        self._types = ("deb", "deb-src") if architectures else ("deb-src",)
        self._architectures = architectures
        names = (release, *(("fixes",) if with_fixes else ()), *components)
        self.folder = (folder / f"apt-{'-'.join(names)}").absolute()
        self._components = " ".join(components)
        self._release = Place(mirror(), release)
        self._fixes = [Place(*fix) for fix in fixes(release)] if with_fixes else []

    def _write_settings(self, places: list[Place]) -> None:
        for name in ("lists/partial", "cache/archives/partial"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        lines = [
            f"{kind} {place.options()} {place.uri} {place.suite} {self._components}\n"
            for place in places
            for kind in self._types
        ]
        (self.folder / "sources.list").write_text("".join(lines))
        (self.folder / "apt.conf").write_text(
            f"""Dir::State::Lists "{self.folder}/lists";
Dir::State::Status "{self.folder}/status";
Dir::Cache "{self.folder}/cache";
Dir::Etc::SourceList "{self.folder}/sources.list";
Dir::Etc::SourceParts "/nonexistent";
APT::Architecture "amd64";
APT::Architectures {{{"".join(f'"{name}";' for name in self._architectures)}}};
APT::Sandbox::User "";
Acquire::Languages "none";
"""
        )
        (self.folder / "status").touch()

    def run(self, *command: str, cwd: Path | None = None) -> str:
        environment = {**os.environ, "APT_CONFIG": str(self.folder / "apt.conf"), "LC_ALL": "C"}
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=cwd, timeout=600, check=False
        )
        if done.returncode:
            raise AptError(f"{' '.join(command[:3])}: {done.stderr.strip()[-2000:]}")
        return done.stdout

    def update(self) -> None:
        """Fetches the lists unless that was done before."""
        done = self.folder / "updated"
        if not done.exists():
            self._fetch_lists()
            done.touch()

    def _fetch_lists(self) -> None:
        """Of the release and of its fixes; without those that the mirror does not have, or has half."""
        if self._fixes and self._could_update([self._release, *self._fixes]):
            return
        self._write_settings([self._release, *(had for fix in self._fixes if (had := self._had(fix)))])
        self.run("apt-get", "-q", "update")

    def _had(self, fix: Place) -> Place | None:
        """What can be had of it: one broken list must not cost the other architectures theirs."""
        if self._could_update([fix]):
            return fix
        each = [fix._replace(architectures=(name,)) for name in self._architectures]
        there = [name for place in each if self._could_update([place]) for name in place.architectures]
        return fix._replace(architectures=tuple(there)) if there else None

    def _could_update(self, places: list[Place]) -> bool:
        """Whether all of their lists come. Those of other places stay as they are."""
        self._write_settings(places)
        try:
            self.run("apt-get", "-q", "update", "--error-on=any", "-o", "APT::Get::List-Cleanup=0")
        except AptError:
            return False
        return True

    def suites(self, architecture: str) -> list[str]:
        """Those whose list for this architecture was to be had: the release, and what there is of its fixes."""
        names = [self.release, *(suite for _, suite in fixes(self.release))]
        lists = self.folder / "lists"
        return [name for name in names if any(lists.glob(f"*_dists_{name}_main_binary-{architecture}_Packages*"))]

    def renew(self) -> None:
        """Has the lists fetched anew, because the mirror no longer has what they name."""
        (self.folder / "updated").unlink(missing_ok=True)
        self.update()

    def fetch(self, *packages: str) -> list[Path]:
        """Downloads packages, named NAME:ARCHITECTURE, without what they need; what is there already stays."""
        self.update()
        archives = self.folder / "cache/archives"
        return [self._fetch(package, archives) for package in packages]

    def _fetch(self, package: str, archives: Path) -> Path:
        uri = self.run("apt-get", "download", "--print-uris", package, cwd=archives).split()
        if len(uri) < 2:
            raise AptError(f"{self.release} has no package {package}")
        path = archives / uri[1]
        if not path.exists():
            self.run("apt-get", "-q", "download", package, cwd=archives)
        return path

    def unpack(self, root: Path, *packages: str) -> Path:
        """Unpacks packages, named NAME:ARCHITECTURE, into root. No script of theirs is run."""
        root.mkdir(parents=True, exist_ok=True)
        for path in self.fetch(*packages):
            subprocess.run(["dpkg", "-x", str(path), str(root)], check=True, timeout=300)
        return root

    def source(self, package: str) -> Path:
        """The source of a package, unpacked and patched: its folder."""
        self.update()
        folder = self.folder / "source" / package
        if not (folder / "done").exists():
            folder.mkdir(parents=True, exist_ok=True)
            self.run("apt-get", "-q", "source", package, cwd=folder)
            (folder / "done").touch()
        return next(path for path in folder.iterdir() if path.is_dir())
