"""What a lease file says before a start, and how far it reaches while it grows."""

import time
from pathlib import Path

from tests.unit.engines.records import FAILOVER, HEADER, lease
from twinlease.engines.isc.engine import IscEngine
from twinlease.engines.isc.usage import IscLeaseCounter
from twinlease.engines.protocol import Recorded, Watermark
from twinlease.model.states import FailoverState

NOON = 1_795_262_400  # 2026-11-21 12:00:00 UTC


def at(address: str, starts: int, ends: int, state: str = "active", cltt: int = 0) -> bytes:
    """Return a lease with its times."""
    times = f"  starts {_written(starts)};\n  ends {_written(ends)};\n" + (
        f"  cltt {_written(cltt)};\n" if cltt else ""
    )
    head, _, tail = lease(address, state).partition(b"  starts 6 2026/11/21 15:00:00;\n  ends 6 2026/11/21 15:30:00;\n")
    return head + times.encode() + tail


def _written(when: int) -> str:
    return time.strftime("%w %Y/%m/%d %H:%M:%S", time.gmtime(when))


def changed(mine: str, since: int, partner: str = "normal") -> bytes:
    """Return a record of the failover states."""
    return (
        f'failover peer "lan" state {{\n  my state {mine} at {_written(since)};\n'
        f"  partner state {partner} at {_written(since)};\n}}\n"
    ).encode()


def recorded(path: Path, data: bytes) -> Recorded:
    path.write_bytes(data)
    return IscEngine().recorded(path)


def test_no_file_and_an_empty_one(tmp_path: Path) -> None:
    nothing = IscEngine().recorded(tmp_path / "dhcpd.leases")
    assert not nothing.exists
    empty = recorded(tmp_path / "dhcpd.leases", b"")
    assert empty.exists
    assert (empty.local, empty.partner, empty.newest, empty.held) == (
        FailoverState.UNKNOWN,
        FailoverState.UNKNOWN,
        0,
        0,
    )


def test_the_last_record_of_each_address_counts(tmp_path: Path) -> None:
    soon = int(time.time()) + 600
    said = recorded(
        tmp_path / "dhcpd.leases",
        HEADER
        + at("10.0.0.1", NOON + 9, soon + 99)  # superseded
        + at("10.0.0.1", NOON, soon)
        + at("10.0.0.2", NOON, soon + 5, cltt=NOON + 3)
        + at("10.0.0.3", NOON + 2, NOON + 60)  # over
        + at("10.0.0.4", NOON + 1, soon, "free")
        + at("10.0.0.5", NOON + 77, soon)[:-3],  # cut short by a crash
    )
    assert (said.held, said.held_until) == (2, soon + 5)
    assert (said.newest, said.newest_address) == (NOON + 3, "10.0.0.2")


def test_a_lease_without_end_is_held_to_the_last_second(tmp_path: Path) -> None:
    data = at("10.0.0.1", NOON, NOON).replace(b"ends " + _written(NOON).encode(), b"ends never")
    said = recorded(tmp_path / "dhcpd.leases", data)
    assert (said.held, said.held_until) == (1, (1 << 31) - 1)


def test_the_last_states(tmp_path: Path) -> None:
    data = FAILOVER + changed("communications-interrupted", NOON) + changed("partner-down", NOON + 7, "recover-wait")
    said = recorded(tmp_path / "dhcpd.leases", data + b'failover peer "lan" state {\n  my state normal')
    assert said.local is FailoverState.PARTNER_DOWN
    assert said.partner is FailoverState.RECOVER_WAIT
    assert (said.since, said.transitions) == (NOON + 7, 3)


def test_every_word_of_dhcpd_is_known(tmp_path: Path) -> None:
    words = ["normal", "communications-interrupted", "partner-down", "recover", "recover-wait", "recover-done"]
    words += ["startup", "shutdown", "paused", "potential-conflict", "conflict-done", "resolution-interrupted"]
    found = {recorded(tmp_path / "dhcpd.leases", changed(word, NOON)).local for word in words}
    assert found == set(FailoverState) - {FailoverState.UNKNOWN}
    assert recorded(tmp_path / "dhcpd.leases", changed("unknown-state", NOON)).local is FailoverState.UNKNOWN


def test_a_state_without_a_date_has_no_beginning_yet(tmp_path: Path) -> None:
    said = recorded(tmp_path / "dhcpd.leases", FAILOVER + b'failover peer "lan" state {\n  my state recover;\n}\n')
    assert (said.local, said.partner, said.since) == (FailoverState.RECOVER, FailoverState.NORMAL, 0)


def test_a_hundred_thousand_leases_take_about_a_second(tmp_path: Path) -> None:
    path = tmp_path / "dhcpd.leases"
    with path.open("wb") as file:
        file.writelines(lease(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", "active") for n in range(100_000))
    begin = time.process_time()
    assert IscEngine().recorded(path).exists
    spent = time.process_time() - begin
    assert spent < 3, f"{spent:.2f} s"


class Grown:
    """A lease file that grows, and its counter."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counter = IscLeaseCounter(path)

    def append(self, data: bytes) -> tuple[Watermark, int]:
        """Append, and return what the counter says then."""
        with self.path.open("ab") as file:
            file.write(data)
        return self.say()

    def rewrite(self, data: bytes) -> tuple[Watermark, int]:
        """Rename another file into place, as dhcpd does."""
        self.path.with_name("new").write_bytes(data)
        self.path.with_name("new").replace(self.path)
        return self.say()

    def say(self) -> tuple[Watermark, int]:
        """Count, and compare the reach with that of the whole file."""
        self.counter.count({})
        said = IscEngine().recorded(self.path)
        mark = self.counter.watermark
        assert (mark.newest, mark.newest_address) == (said.newest, said.newest_address)
        return mark, self.counter.transitions


def test_the_watermark_follows_the_present_records(tmp_path: Path) -> None:
    grown = Grown(tmp_path / "dhcpd.leases")
    assert grown.append(HEADER)[0] == Watermark()
    assert grown.append(at("10.0.0.1", NOON, NOON))[0] == Watermark(newest=NOON, newest_address="10.0.0.1")
    assert grown.append(at("10.0.0.2", NOON, NOON, cltt=NOON + 5))[0].newest_address == "10.0.0.2"
    assert grown.append(at("10.0.0.2", NOON - 9, NOON))[0] == Watermark(newest=NOON, newest_address="10.0.0.1")
    assert grown.rewrite(at("10.0.0.2", NOON - 9, NOON))[0].newest == NOON - 9
    grown.counter.close()


def test_no_interruption_between_two_polls_is_missed(tmp_path: Path) -> None:
    grown = Grown(tmp_path / "dhcpd.leases")
    first = changed("normal", NOON)
    _, before = grown.append(HEADER + first)
    assert grown.append(changed("normal", NOON, "paused"))[1] == before  # the partner's state only
    flap = changed("communications-interrupted", NOON + 5) + changed("normal", NOON + 5)
    assert grown.append(flap)[1] == before + 2
    again = changed("communications-interrupted", NOON + 6) + changed("normal", NOON + 6)
    assert grown.append(again)[1] == before + 4
    assert grown.rewrite(HEADER + changed("normal", NOON + 6))[1] == before + 4  # the hourly rewrite is no news
    assert grown.rewrite(HEADER + changed("normal", NOON + 9))[1] == before + 5  # a flap that a rewrite hid
    grown.counter.close()
