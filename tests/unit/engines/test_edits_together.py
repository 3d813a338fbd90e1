"""Two edits of a lease file in one start."""

from pathlib import Path

import pytest

from tests.unit.engines.records import lease
from twinlease.engines.isc.process import IscProcess

SURVIVE = {"relationship": "lan", "hold": 3600}


@pytest.mark.parametrize("edits", [["empty", "survive"], ["survive", "empty"]])
def test_a_survivor_may_begin_with_nothing(edits: list[str], tmp_path: Path) -> None:
    path = tmp_path / "dhcpd.leases"
    path.write_bytes(lease("10.0.0.1", "active"))
    IscProcess().prepare(path, edits, SURVIVE)
    assert b"10.0.0.1" not in path.read_bytes()
    assert b"my state partner-down;" in path.read_bytes()
    assert (tmp_path / "dhcpd.leases.set-aside").read_bytes() == lease("10.0.0.1", "active")
