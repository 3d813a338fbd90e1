"""The engine behind the seam."""

from pathlib import Path

import pytest

from twinlease.engines.isc.engine import IscEngine
from twinlease.engines.protocol import Engine, engine

SECRET = "MDEyMzQ1Njc4OWFiY2RlZg=="  # noqa: S105 - nobody's


def test_by_its_api_name() -> None:
    isc: Engine = engine("ISC")
    assert isc.name == "ISC"
    with pytest.raises(ValueError, match="no DHCP engine 'Kea'"):
        engine("Kea")


def test_credentials_are_private_and_replaced_whole(tmp_path: Path) -> None:
    for secret in (SECRET, "AAAA"):
        IscEngine().write_credentials(tmp_path, secret + "\n")
        path = tmp_path / "omapi-key.conf"
        assert path.stat().st_mode & 0o777 == 0o600
        assert f"  secret {secret};\n" in path.read_text()
        assert f"key {IscEngine.control_key} {{\n  algorithm hmac-md5;\n" in path.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["omapi-key.conf"]


@pytest.mark.parametrize("secret", ["", "no base64!", "AAAA; };\ninclude", 'AAAA"'])
def test_a_secret_that_is_none_is_refused_before_anything_is_written(secret: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="control key"):
        IscEngine().write_credentials(tmp_path, secret)
    assert list(tmp_path.iterdir()) == []


def test_the_configuration_names_what_was_written(tmp_path: Path) -> None:
    isc = IscEngine(key_include=str(tmp_path / "key.conf"))
    isc.write_credentials(tmp_path, SECRET)
    assert (tmp_path / "key.conf").exists()
