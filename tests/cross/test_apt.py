"""Where the second apt finds its mirror: in what the system has, in either syntax."""

from pathlib import Path

import pytest

from tools.cross.apt import AptError, fixes, mirror

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
