"""The script that udhcpc calls on a board, with an `ip` and an `arping` that only note what they are asked."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tools.image.root import FILES

IP = """#!/bin/sh
# Addresses are lines "SCOPE ADDRESS" of a file.
case "$*" in
*"addr show"*global*) grep -q '^global' "$STATE" && echo inet ;;
*"addr show"*) grep -q . "$STATE" && echo inet ;;
*"addr add"*) echo "link $3" >> "$STATE" ;;
*"addr replace"*) echo "global $3" >> "$STATE" ;;
*flush*) sed -i "/^${7:-$6}/d" "$STATE" ;;
esac
"""
# Answers as often as the file of answers says, a number a line: 1 is "somebody has it".
ARPING = """#!/bin/sh
answer=$(head -n 1 "$STATE.answers"); sed -i 1d "$STATE.answers"
sleep 0.3
exit ${answer:-0}
"""


class Card:
    """A network card that has what the script gave it."""

    def __init__(self, place: Path) -> None:
        self.state = place / "state"
        self.state.touch()
        self._programs = place / "bin"
        self._programs.mkdir()
        for name, text in (("ip", IP), ("arping", ARPING)):
            (self._programs / name).write_text(text)
            (self._programs / name).chmod(0o755)
        self.taken()

    def taken(self, *answers: int) -> None:
        Path(f"{self.state}.answers").write_text("".join(f"{answer}\n" for answer in answers))

    def call(self, what: str, **given: str) -> None:
        path = f"{self._programs}:{os.environ['PATH']}"
        environment = {"PATH": path, "STATE": str(self.state), "interface": "lo", **given}
        subprocess.run(["sh", str(FILES / "address"), what], env=environment, check=True, timeout=30)

    def addresses(self) -> list[str]:
        return self.state.read_text().splitlines()

    def settled(self) -> list[str]:
        time.sleep(2)
        return self.addresses()


@pytest.fixture
def card(tmp_path: Path) -> Card:
    return Card(tmp_path)


def test_own_address_does_not_wait_for_dhcp_to_fail(card: Card) -> None:
    card.call("deconfig")
    (own,) = card.settled()
    assert own.startswith("link 169.254.")
    card.call("leasefail")
    assert card.settled() == [own]


def test_address_that_somebody_has_is_not_taken(card: Card) -> None:
    card.call("deconfig")
    (first,) = card.settled()
    card.state.write_text("")
    card.taken(1)
    card.call("deconfig")
    (second,) = card.settled()
    assert second.startswith("link 169.254.") and second != first


def test_address_whose_owner_answers_late_is_given_back(card: Card) -> None:
    card.call("deconfig")
    (first,) = card.settled()
    card.state.write_text("")
    card.taken(0, 1)
    card.call("deconfig")
    (second,) = card.settled()
    assert second.startswith("link 169.254.") and second != first


def test_given_address_replaces_an_own_one(card: Card) -> None:
    card.call("deconfig")
    card.settled()
    card.call("bound", ip="192.168.1.7", mask="24")
    assert card.settled() == ["global 192.168.1.7/24"]


def test_given_address_that_comes_during_the_question_stays_alone(card: Card) -> None:
    card.call("deconfig")
    card.call("bound", ip="192.168.1.7", mask="24")
    assert card.settled() == ["global 192.168.1.7/24"]
