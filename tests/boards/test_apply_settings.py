"""The script that brings the console's settings into force, with programs that only note what they are asked."""

import os
import subprocess
from pathlib import Path

import pytest

from tools.image.root import FILES

PROGRAMS = {
    "killall": 'echo "killall $*" >> "$PLACE/done"',
    # What was told to end is there three times more when it is looked for.
    "pidof": 'echo x >> "$PLACE/looks"; [ "$(wc -l < "$PLACE/looks")" -le 3 ]',
    "usleep": ":",
    "ip": ":",
}


@pytest.mark.parametrize(
    ("keys", "looks"), [(("wifi.ssid", "wifi.password"), 4), (("network.address",), 4), (("hub",), 0)]
)
def test_network_of_before_is_over_when_new_settings_are_in_force(
    keys: tuple[str, ...], looks: int, tmp_path: Path
) -> None:
    for name, body in PROGRAMS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "common").write_text("setting() { :; }\n")
    script = (FILES / "apply").read_text().replace("/usr/lib/toastbox/common", str(tmp_path / "common"))
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PLACE": str(tmp_path)}
    subprocess.run(["sh", "-c", script, "apply", *keys], env=environment, check=True, timeout=30)
    path = tmp_path / "looks"
    assert (len(path.read_text().splitlines()) if path.exists() else 0) == looks
    assert (tmp_path / "done").exists() == bool(looks)
