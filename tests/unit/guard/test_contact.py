"""What the kernel's table of connections says of the contact with the partner; and its alarm when the clock is set."""

import select
import socket
from pathlib import Path

import pytest

from twinlease.guard.alarm import SetAlarm
from twinlease.guard.contact import connected
from twinlease.ipc.protocol import FenceSpec, Mode

SPEC = FenceSpec(Mode.KERNEL, "10.77.0.3", failover_port=647, omapi_port=7911, peer_port=7912, partner_port=847)
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
_REST = "00000000:00000000 00:00000000 00000000  6767        0 1 1 0 100 0 0 10 0\n"
LISTEN = f"   0: 00000000:0287 00000000:0000 0A {_REST}"
CALLED = f"   1: 02004D0A:0287 03004D0A:D431 01 {_REST}"
CALLING = f"   2: 02004D0A:D431 03004D0A:034F 01 {_REST}"


@pytest.mark.parametrize(
    ("lines", "talks"),
    [
        ("", False),
        (LISTEN, False),
        (LISTEN + CALLED, True),
        (LISTEN + CALLING, True),
        (CALLED.replace(" 01 ", " 06 "), False),  # TIME_WAIT
        (CALLING.replace(" 01 ", " 02 "), False),  # SYN_SENT
        (CALLING.replace("03004D0A:034F", "03004D0A:192B"), False),  # the API, on the partner's node
        (CALLING.replace("03004D0A:034F", "04004D0A:034F"), False),
        ("   3: garbled\n", False),
    ],
)
def test_only_an_established_failover_connection_is_contact(tmp_path: Path, lines: str, *, talks: bool) -> None:
    listing = tmp_path / "tcp"
    listing.write_text(HEAD + lines, encoding="ascii")
    assert connected(SPEC, listing) is talks
    assert not connected(SPEC._replace(partner="", failover_port=0), listing)
    assert connected(SPEC, tmp_path / "nothing"), "what cannot be told may be"


def test_this_kernels_table_is_understood() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        calling = SPEC._replace(partner="127.0.0.1", failover_port=0, partner_port=port)
        called = SPEC._replace(partner="", failover_port=port)
        assert not connected(calling)
        assert not connected(called)
        with socket.create_connection(("127.0.0.1", port)):
            assert connected(calling)
            assert connected(called)


def test_the_alarm_is_set_and_is_quiet_while_nobody_sets_the_clock() -> None:
    alarm = SetAlarm()
    assert alarm.fileno() >= 0
    assert select.select([alarm.fileno()], [], [], 0.05)[0] == []
    alarm.heard()
    assert select.select([alarm.fileno()], [], [], 0.05)[0] == []
    alarm.close()
    alarm.close()
    assert alarm.fileno() == -1
