"""What the lease file says of each address, as it grows."""

import time
from contextlib import closing
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tests.unit.engines.records import FAILOVER, HEADER, lease
from twinlease.engines.isc.bindings import IscBindingLog
from twinlease.model.binding import Binding, Standing
from twinlease.model.states import Role

FIRST = int(IPv4Address("10.0.0.1"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "dhcpd.leases"


def everything(file: Path) -> list[Binding]:
    with closing(IscBindingLog(file)) as log:
        return list(log.news())


@pytest.mark.parametrize(
    ("state", "standing"),
    [
        ("active", Standing.LEASED),
        ("expired", Standing.EXPIRED),
        ("released", Standing.RELEASED),
        ("reset", Standing.RESET),
        ("free", Standing.FREE),
        ("backup", Standing.FREE),
        ("abandoned", Standing.OTHER),
    ],
)
def test_how_an_address_stands(state: str, standing: Standing, file: Path) -> None:
    file.write_bytes(HEADER + lease("10.0.0.1", state) + FAILOVER)
    assert [(each.address, each.standing) for each in everything(file)] == [(FIRST, standing)]


def test_the_times_of_a_lease(file: Path) -> None:
    file.write_text(
        "lease 10.0.0.1 {\n  starts 6 2026/11/21 22:05:18;\n  ends 6 2026/11/21 22:05:41;\n"
        "  tstp 6 2026/11/21 23:00:00;\n  cltt 6 2026/11/21 22:05:20;\n  binding state active;\n}\n"
        "lease 10.0.0.2 {\n  starts 6 2026/11/21 22:05:18;\n  ends never;\n  binding state active;\n}\n"
    )
    assert everything(file) == [
        Binding(FIRST, Standing.LEASED, 1_795_298_720, 1_795_298_741, ours=True, nobodys=True),
        Binding(FIRST + 1, Standing.LEASED, 1_795_298_718, (1 << 31) - 1, nobodys=True),
    ]


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ("tstp 6 2026/11/21 22:05:18;", True),
        ("", True),  # dhcpd takes the end for what is to be told
        ("tstp 6 2026/11/21 22:05:18;\n  atsfp 6 2026/11/21 22:05:18;", False),
        ("tstp 6 2026/11/21 22:05:18;\n  rewind binding state free;", False),  # it was not sent yet
        ("tstp 6 2026/11/21 22:05:18;\n  rewind binding state released;", True),  # our sidecar says it anew
    ],
)
def test_what_was_left_to_the_partner_without_an_answer(lines: str, left: bool, file: Path) -> None:  # noqa: FBT001  # a case
    text = f"lease 10.0.0.1 {{\n  ends 6 2026/11/21 22:05:18;\n  binding state backup;\n  {lines}\n}}\n"
    file.write_text(text + text.replace("0.1", "0.2").replace("state backup", "state free"))
    assert [each.left for each in everything(file)] == [1_795_298_718 * left, 0]


def test_what_was_left_to_the_partner_is_so_until_the_instant_that_is_told(file: Path) -> None:
    file.write_text(
        "lease 10.0.0.1 {\n  ends 6 2026/11/21 22:05:18;\n  tstp 6 2026/11/21 23:05:18;\n  binding state backup;\n}\n"
    )
    assert [(each.ends, each.left) for each in everything(file)] == [(1_795_298_718, 1_795_298_718 + 3600)]


DECLINED = 1_795_302_318


def test_since_when_an_address_is_abandoned(file: Path) -> None:
    """For a day, whenever its client was seen last: the partner may have said so of what was given since."""
    file.write_text(
        "lease 10.0.0.1 {\n  starts 6 2026/11/21 22:05:18;\n  ends 0 2026/11/22 23:05:18;\n"
        "  cltt 6 2026/11/21 23:05:20;\n"
        "  binding state abandoned;\n  next binding state free;\n}\n"
    )
    unheard = Binding(FIRST, Standing.OTHER, DECLINED, DECLINED + 86_400, ours=True, unheard=True)
    assert everything(file) == [unheard]


@pytest.mark.parametrize(
    ("lines", "unheard", "before"),
    [
        ("tstp 6 2026/11/21 22:05:18;\n  rewind binding state active;", True, None),
        ("tstp 6 2026/11/21 22:05:18;\n  rewind binding state free;", True, Role.PRIMARY),
        ("rewind binding state backup;", True, Role.SECONDARY),
        ("tstp 6 2026/11/21 22:05:18;\n  atsfp 6 2026/11/21 22:05:18;", False, None),
    ],
)
def test_what_the_partner_knows_of_an_abandoned_address(
    lines: str,
    unheard: bool,  # noqa: FBT001  # a case
    before: Role | None,
    file: Path,
) -> None:
    file.write_text(f"lease 10.0.0.1 {{\n  ends 0 2026/11/22 23:05:18;\n  binding state abandoned;\n  {lines}\n}}\n")
    assert [(each.unheard, each.before) for each in everything(file)] == [(unheard, before)]


@pytest.mark.parametrize(
    ("state", "whose", "nobodys"),
    [
        ("active", "", True),
        ("expired", "", True),
        ("active", "  hardware ethernet 02:00:5e:00:00:01;\n", False),
        ("expired", '  uid "\\001";\n', False),
        ("free", "", False),
    ],
)
def test_whether_a_lease_is_nobodys(state: str, whose: str, *, nobodys: bool, file: Path) -> None:
    file.write_text(f"lease 10.0.0.1 {{\n  ends 0 2026/11/22 23:05:18;\n  binding state {state};\n{whose}}}\n")
    assert [each.nobodys for each in everything(file)] == [nobodys]


@pytest.mark.parametrize(
    ("state", "lines", "told"),
    [
        ("released", "  tstp 6 2026/11/21 22:05:18;\n", True),
        ("expired", "  tstp 6 2026/11/21 22:05:18;\n  rewind binding state released;\n", True),
        ("released", "  tstp 6 2026/11/21 22:05:18;\n  rewind binding state active;\n", False),  # while it was cut off
        ("expired", "  tstp 4 1970/01/01 00:00:00;\n", False),  # it returns, and has nothing to say
        ("expired", "", False),  # as dhcpd writes that anew
        ("reset", "", True),
        ("active", "  tstp 6 2026/11/21 22:05:18;\n  rewind binding state released;\n", False),
        ("free", "  tstp 6 2026/11/21 22:05:18;\n", False),
    ],
)
def test_whether_the_partner_was_told_that_it_is_over(state: str, lines: str, *, told: bool, file: Path) -> None:
    file.write_text(f"lease 10.0.0.1 {{\n  ends 6 2026/11/21 22:05:18;\n  binding state {state};\n{lines}}}\n")
    assert [each.told for each in everything(file)] == [told]


def test_whose_client_it_was_last(file: Path) -> None:
    times = {
        "starts 6 2026/11/21 22:05:18;\n  cltt 6 2026/11/21 22:05:18;": True,
        "starts 6 2026/11/21 22:05:19;\n  cltt 6 2026/11/21 22:05:18;": False,  # what the partner told
        "starts 6 2026/11/21 22:05:19;": False,
        "cltt 6 2026/11/21 22:05:18;": True,
        "cltt never;": False,
    }
    text = "".join(f"lease 10.0.0.1 {{\n  {lines}\n  binding state active;\n}}\n" for lines in times)
    file.write_text(text)
    assert [each.ours for each in everything(file)] == list(times.values())


def test_only_what_is_new_is_told_and_all_of_another_file(file: Path) -> None:
    log = IscBindingLog(file)
    assert list(log.news()) == []
    file.write_bytes(lease("10.0.0.1", "active"))
    assert [each.standing for each in log.news()] == [Standing.LEASED]
    whole = lease("10.0.0.1", "released")
    with file.open("ab") as growing:
        growing.write(whole[:50])
        growing.flush()
        assert list(log.news()) == []
        growing.write(whole[50:])
    assert [each.standing for each in log.news()] == [Standing.RELEASED]
    assert list(log.news()) == []
    other = file.with_name("new")
    other.write_bytes(lease("10.0.0.1", "expired") + lease("10.0.0.2", "free"))
    other.replace(file)
    assert [each.standing for each in log.news()] == [Standing.EXPIRED, Standing.FREE]
    log.close()


def test_what_was_not_read_yet_of_a_file_that_is_replaced_is_told_first(file: Path) -> None:
    """In the other one only the last record of an address is: it may contradict what was given just before."""
    file.write_bytes(lease("10.0.0.1", "free"))
    log = IscBindingLog(file)
    assert [each.standing for each in log.news()] == [Standing.FREE]
    with file.open("ab") as growing:
        growing.write(lease("10.0.0.1", "active") + lease("10.0.0.1", "released"))
    other = file.with_name("new")
    other.write_bytes(lease("10.0.0.1", "released"))
    other.replace(file)
    assert [each.standing for each in log.news()] == [Standing.LEASED, Standing.RELEASED, Standing.RELEASED]
    assert list(log.news()) == []
    log.close()


def test_it_may_be_taken_bit_by_bit_and_what_was_not_taken_comes_again(file: Path) -> None:
    file.write_bytes(b"".join(lease(f"10.0.0.{n}", "released") for n in range(1, 4)))
    log = IscBindingLog(file)
    assert next(log.news()).address == FIRST
    assert [each.address - FIRST for each in log.news()] == [0, 1, 2]
    log.close()


def test_ten_thousand_take_a_fraction_of_a_second(file: Path) -> None:
    file.write_bytes(b"".join(lease(f"10.1.{n >> 8}.{n & 255}", "active") for n in range(10_000)))
    began = time.process_time()
    assert len(everything(file)) == 10_000
    assert time.process_time() - began < 0.5
