"""The commands together, as a person types them: a hub and devices on this machine, each in a process of its own."""

import json
import os
import re
import signal
import subprocess

import pytest

from town import WAIT_S, Town, stop, wait_for


def test_code_is_alone_on_stdout(town: Town) -> None:
    done = town.run("invite", "--data", "hub")
    assert re.fullmatch(r"TBX1(-[0-9A-HJKMNP-TV-Z]{1,6})+\n", done.stdout)
    assert done.stderr == ""


def test_one_shot_each_way_and_then_nothing_to_say(town: Town) -> None:
    town.join("a")
    town.join("b")
    (town.place / "a" / "sub").mkdir()
    (town.place / "a" / "sub" / "x").write_text("content")
    assert town.must("sync", "a") == "2 sent\n"
    assert town.must("sync", "b") == "2 received\n"
    assert (town.place / "b" / "sub" / "x").read_text() == "content"
    assert town.must("sync", "a") == town.must("sync", "b") == ""


def test_dry_run_tells_and_changes_nothing(town: Town) -> None:
    town.join("a")
    town.join("b")
    for name in ("a", "b"):
        (town.place / name / f"new on {name}").write_text(name)
        (town.place / name / "same").write_text("same on both")
        os.utime(town.place / name / "same", (1, 1))
    town.must("sync", "a")
    before = sorted(path.name for path in (town.place / "b").iterdir())
    told = town.must("sync", "b", "--dry-run").splitlines()
    assert told == ["here\twrite\tnew on a", "hub\tadd\tnew on b"]
    assert sorted(path.name for path in (town.place / "b").iterdir()) == before
    assert town.status("b")["cursor"] == 0


def test_agents_keep_two_folders_equal_and_end_when_told(town: Town) -> None:
    town.join("a")
    town.join("b")
    agents = [town.start("agent", name, "--no-announce") for name in ("a", "b")]
    wait_for(lambda: all(town.status(name)["state"] == "in sync" for name in ("a", "b")))
    (town.place / "a" / "x").write_text("one")
    wait_for(lambda: (town.place / "b" / "x").exists() and (town.place / "b" / "x").read_text() == "one")
    second = town.run("agent", "a")
    assert (second.returncode, "already" in second.stderr) == (3, True)
    assert town.must("sync", "a") == ""
    assert stop(agents[0]) == (0, "")
    assert stop(agents[1], signal.SIGINT) == (0, "")
    assert town.status("a")["running"] is False


def test_paused_folder_rests_until_resumed(town: Town) -> None:
    town.join("a")
    town.join("b")
    town.start("agent", "b", "--no-announce")
    wait_for(lambda: town.status("b")["state"] == "in sync")
    town.must("pause", "b")
    (town.place / "a" / "x").write_text("one")
    town.must("sync", "a")
    assert town.status("b")["state"] == "paused"
    refused = town.run("sync", "b")
    assert (refused.returncode, "toastbox resume" in refused.stderr) == (1, True)
    assert not (town.place / "b" / "x").exists()
    town.must("resume", "b")
    wait_for((town.place / "b" / "x").exists)


def test_old_version_comes_back_from_device_and_hub(town: Town) -> None:
    town.join("a")
    for text in ("first", "second!", "third!!!!"):
        (town.place / "a" / "x").write_text(text)
        town.must("sync", "a")
    versions = json.loads(town.must("versions", "a/x", "--json"))
    assert [entry["size"] for entry in versions] == [9, 7, 5]
    assert versions == json.loads(town.must("versions", "x", "--data", "hub", "--json"))
    assert versions == json.loads(town.must("log", "a", "--json"))
    town.must("restore", "a/x", versions[2]["seq"])
    town.must("sync", "a")
    assert (town.place / "a" / "x").read_text() == "first"
    town.must("restore", "x", versions[1]["seq"], "--data", "hub")
    town.must("sync", "a")
    assert (town.place / "a" / "x").read_text() == "second!"
    authors = [line.split("\t")[2] for line in town.must("log", "a").splitlines()]
    assert authors == ["(hub)", "a", "a", "a", "a"]
    unknown = town.run("versions", "a/y")
    assert (unknown.returncode, unknown.stderr.count("\n")) == (1, 1)


def test_revoked_device_is_cut_off_at_once_and_others_are_not(town: Town) -> None:
    town.join("a")
    town.join("b")
    town.start("agent", "b", "--no-announce")
    wait_for(lambda: town.status("b")["state"] == "in sync")
    town.must("revoke", "b", "--data", "hub")
    wait_for(lambda: town.status("b")["state"] == "denied")
    (town.place / "a" / "x").write_text("not for b")
    town.must("sync", "a")
    for command in (("sync", "b"), ("log", "b")):
        refused = town.run(*command)
        assert (refused.returncode, "toastbox join" in refused.stderr) == (1, True)
    assert not (town.place / "b" / "x").exists()
    devices = json.loads(town.must("devices", "--data", "hub", "--json"))
    assert [(each["name"], each["revoked"]) for each in devices] == [("a", False), ("b", True)]


def test_joined_folder_is_paired_anew_only_when_asked(town: Town) -> None:
    town.join("a")
    (town.place / "a" / "x").write_text("kept")
    town.must("sync", "a")
    code = town.must("invite", "--data", "hub").strip()
    refused = town.run("join", code, "a", "--hub", town.url)
    assert (refused.returncode, "--again" in refused.stderr) == (2, True)
    town.must("revoke", "a", "--data", "hub")
    town.join("a", "--again")
    assert town.must("sync", "a") == ""
    assert (town.place / "a" / "x").read_text() == "kept"


def test_second_folder_of_a_hub_is_another_world(town: Town) -> None:
    town.join("a")
    code = town.run("invite", "--data", "hub", "--folder", "photos").stdout.strip()
    town.must("join", code, "p", "--hub", town.url)
    (town.place / "a" / "x").write_text("main only")
    town.must("sync", "a")
    town.must("sync", "p")
    assert not (town.place / "p" / "x").exists()
    folders = json.loads(town.must("folders", "--data", "hub", "--json"))
    assert [(each["name"], each["live"]) for each in folders] == [("main", 1), ("photos", 0)]
    ambiguous = town.run("invite", "--data", "hub")
    assert (ambiguous.returncode, "main, photos" in ambiguous.stderr) == (2, True)


def test_code_works_once(town: Town) -> None:
    code = town.must("invite", "--data", "hub").strip()
    town.must("join", code, "a", "--hub", town.url)
    again = town.run("join", code, "b", "--hub", town.url)
    assert (again.returncode, "toastbox invite" in again.stderr) == (1, True)
    assert not (town.place / "b" / ".toastbox" / "credentials.json").exists()


def test_code_of_another_hub_is_not_given_away(town: Town) -> None:
    other = Town(town.place / "other")
    other.place.mkdir()
    try:
        other.start_hub()
        code = other.must("invite", "--data", "hub").strip()
        refused = town.run("join", code, "a", "--hub", town.url)
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
        other.must("join", code, "a", "--hub", other.url)
    finally:
        other.end()


def test_hub_that_is_down_is_one_line(town: Town) -> None:
    town.join("a")
    assert stop(town.running[0]) == (0, "")
    done = town.run("sync", "a")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert json.loads(town.must("devices", "--data", "hub", "--json"))[0]["name"] == "a"
    town.start_hub()
    assert town.must("sync", "a") == ""


def test_second_hub_on_the_same_data_is_refused(town: Town) -> None:
    second = town.run("hub", "--data", "hub", "--listen", "127.0.0.1:0", "--no-announce")
    assert (second.returncode, second.stderr.count("\n")) == (3, 1)


def test_doing_without_tls_is_off_until_it_is_said_for_one_device(town: Town) -> None:
    assert "--listen-plain" in town.run("invite", "--plain", "--data", "hub").stderr
    assert town.run("invite", "--data", "hub").stderr == ""
    stop(town.running[0])
    assert "--listen-plain" in town.run("invite", "--plain", "--data", "hub").stderr
    hub = town.start_hub("--listen-plain", "127.0.0.1:0")
    assert hub.stdout is not None
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+ plain\n", hub.stdout.readline())
    town.join("a")
    invited = town.run("invite", "--plain", "--data", "hub")
    assert re.fullmatch(r"TBX1[-0-9A-Z]+\n", invited.stdout) and invited.stderr == ""

    def allowed() -> bool:
        (device,) = json.loads(town.must("devices", "--data", "hub", "--json"))
        assert device["plain"] == ("plain" in town.must("devices", "--data", "hub"))
        return bool(device["plain"])

    assert not allowed()
    assert "can read" in town.must("plain", "a", "on", "--data", "hub")
    assert allowed()
    assert "needs TLS" in town.must("plain", "a", "off", "--data", "hub")
    assert not allowed()
    assert town.run("plain", "b", "on", "--data", "hub").returncode == 2
    assert town.must("sync", "a") == ""


@pytest.mark.parametrize("command", ["invite", "devices", "folders", "prune", "revoke x"])
def test_mistyped_data_folder_makes_no_hub(command: str, town: Town) -> None:
    done = town.run(*command.split(), "--data", "hbu")
    assert (done.returncode, "holds no hub" in done.stderr) == (2, True)
    assert not (town.place / "hbu").exists()


def test_code_of_a_hub_that_is_only_starting_is_waited_for(town: Town) -> None:
    (town.place / "young").mkdir(mode=0o700)
    (town.place / "young" / "lock").touch()  # as a board's image makes it, seconds before its hub has loaded
    invite = town.start("invite", "--data", "young")
    with pytest.raises(subprocess.TimeoutExpired):
        invite.wait(1.5)
    town.start("hub", "--data", "young", "--listen", "127.0.0.1:0", "--no-announce")
    code, errors = invite.communicate(timeout=WAIT_S)
    assert (code[:5], errors, invite.returncode) == ("TBX1-", "", 0)


def test_files_of_the_hub_are_its_owners_only(town: Town) -> None:
    data = town.place / "hub"
    assert data.stat().st_mode & 0o077 == 0
    for path in data.iterdir():
        assert path.lstat().st_uid == os.geteuid()
        assert path.lstat().st_mode & 0o077 == 0, path
