"""Where the second apt finds its mirror: in what the system has, in either syntax."""

import itertools
from pathlib import Path

import pytest

from tools.cross import apt
from tools.cross.apt import Apt, AptError, fixes, mirror
from tools.image.packages import Packages

DEB822 = """Types: deb
URIs: http://security.example/debian-security/
Suites: bookworm-security
Components: main

# the archive
Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main contrib
"""
ONE_LINE = """deb-src http://source.example/debian bookworm main
# deb http://commented.example/debian bookworm main
deb [signed-by=/usr/share/keyrings/x.gpg arch=amd64] http://old.example/debian bookworm main
"""


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("debian.sources", DEB822, "http://mirror.example/debian"),
        ("sources.list", ONE_LINE, "http://old.example/debian"),
    ],
)
def test_mirror_is_the_systems_own(tmp_path: Path, name: str, text: str, found: str) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / "other.disabled").write_text("deb http://disabled.example/debian bookworm main\n")
    assert mirror((tmp_path / "missing.list", tmp_path)) == found


def test_no_mirror_is_said(tmp_path: Path) -> None:
    (tmp_path / "vendor.list").write_text("deb http://vendor.example/apt stable tools\n")
    with pytest.raises(AptError, match="no Debian mirror"):
        mirror((tmp_path,))


def test_fixes_are_had_where_the_system_has_them(tmp_path: Path) -> None:
    (tmp_path / "debian.sources").write_text(DEB822)
    assert fixes("bookworm", (tmp_path,)) == [
        ("http://mirror.example/debian", "bookworm-updates"),
        ("http://security.example/debian-security", "bookworm-security"),
    ]
    assert fixes("trixie", (tmp_path,)) == []


class HalfMirror:
    """In the place of apt-get: a mirror that lacks some lists, of which apt says so or keeps quiet, as it is told."""

    def __init__(self, lacks: set[tuple[str, str]]) -> None:
        self.lacks = lacks

    def update(self, own: Apt, command: tuple[str, ...]) -> str:
        named = set(self._named(own))
        lists = own.folder / "lists"
        if "APT::Get::List-Cleanup=0" not in command:
            for path in lists.glob("*_Packages"):
                path.unlink()
        for suite, architecture in named - self.lacks:
            (lists / f"mirror_dists_{suite}_main_binary-{architecture}_Packages").touch()
        if "--error-on=any" in command and named & self.lacks:
            raise AptError("a list is not what its index says: mirror sync in progress?")
        return ""

    @staticmethod
    def _named(own: Apt) -> list[tuple[str, str]]:
        """Suite and architecture of every list that the sources ask for."""
        found = []
        for line in (own.folder / "sources.list").read_text().splitlines():
            options, _, place = line.partition("] ")
            only = options.partition("arch=")[2]
            found += itertools.product([place.split()[1]], only.split(",") if only else apt.ARCHITECTURES)
        return found


@pytest.mark.parametrize(
    ("lacks", "armhf", "arm64"),
    [
        (set(), [], []),
        ({("bookworm-security", "armhf")}, ["bookworm-security"], []),
        (
            {("bookworm-security", "armhf"), ("bookworm-updates", "arm64")},
            ["bookworm-security"],
            ["bookworm-updates"],
        ),
        (
            {("bookworm-security", name) for name in apt.ARCHITECTURES},
            ["bookworm-security"],
            ["bookworm-security"],
        ),
    ],
)
def test_broken_list_costs_no_other_architecture_its_fixes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lacks: set[tuple[str, str]],
    armhf: list[str],
    arm64: list[str],
) -> None:
    (tmp_path / "debian.sources").write_text(DEB822)
    monkeypatch.setattr(apt.mirror, "__defaults__", ((tmp_path,),))
    monkeypatch.setattr(apt.fixes, "__defaults__", ((tmp_path,),))
    half = HalfMirror(lacks)

    def run(own: Apt, *command: str, cwd: Path | None = None) -> str:
        assert cwd is None and command[:3] == ("apt-get", "-q", "update")
        return half.update(own, command)

    monkeypatch.setattr(Apt, "run", run)
    for name, lacking in (("armhf", armhf), ("arm64", arm64)):
        packages = Packages(name, tmp_path / "cache", renew=True)
        assert packages.lacking() == lacking
        assert packages.suites()[0] == "bookworm" and len(packages.suites()) == 3 - len(lacking)
    half.lacks = set()  # the mirror has done its own update
    assert Packages("armhf", tmp_path / "cache").lacking() == armhf, "an image made again is the same"
    assert Packages("armhf", tmp_path / "cache", renew=True).lacking() == []
