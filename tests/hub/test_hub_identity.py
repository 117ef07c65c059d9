"""The certificate by which devices know a hub: never made anew where there was one."""

from pathlib import Path

import pytest

from toastbox.errors import SafetyRefused
from toastbox.hub.home import Home


@pytest.mark.parametrize("name", ["hub.crt", "hub.key"])
@pytest.mark.parametrize("left", [None, b"", b"\xff" * 100])
def test_a_hub_whose_identity_is_gone_is_not_given_another(tmp_path: Path, name: str, left: bytes | None) -> None:
    """Its devices would refuse it for ever."""
    Home(str(tmp_path)).close()
    kept = {path: path.read_bytes() for path in (tmp_path / "hub.crt", tmp_path / "hub.key")}
    (tmp_path / name).unlink()
    if left is not None:
        (tmp_path / name).write_bytes(left)
    with pytest.raises(SafetyRefused, match="backup"):
        Home(str(tmp_path))
    (tmp_path / name).write_bytes(kept[tmp_path / name])
    home = Home(str(tmp_path))
    home.close()
    assert {path: path.read_bytes() for path in kept} == kept


def test_a_first_start_that_was_cut_off_between_key_and_certificate_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "hub.key").write_bytes(b"key")
    Home(str(tmp_path)).close()
    assert (tmp_path / "hub.crt").exists()
