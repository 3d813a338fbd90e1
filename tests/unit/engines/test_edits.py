"""The edits that decide how a server comes back: nothing that the partner may have promised is given up."""

import calendar
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.engines.records import DELETED, FAILOVER, HEADER, SUBCLASS, lease
from twinlease.engines.isc import records
from twinlease.engines.isc.process import IscProcess
from twinlease.engines.process import EditError
from twinlease.model.states import Role

HOLD = 3600
SURVIVE = {"relationship": "lan", "hold": HOLD}
RECOVER: dict[str, str | int] = {"relationship": "lan"}
STATES = ["active", "free", "backup", "abandoned", "expired", "released", "reset"]
PROMISED = {"active", "expired", "released", "reset"}
KNOWN = re.compile(r"^  (?:starts|cltt|hardware|uid|client-hostname) .*", re.MULTILINE)
TOLD = re.compile(r"^  (?:tstp|atsfp|rewind) .*", re.MULTILINE)
TIMES = re.compile(r"^  (tstp|tsfp|atsfp) \d (.*);", re.MULTILINE)
NEXT = re.compile(r"^  next binding state (\w+);", re.MULTILINE)
NOTHING = "  tstp 4 1970/01/01 00:00:00;"
RECOVERING = b'failover peer "lan" state {\n  my state recover;\n  partner state unknown-state;\n}\n'
STANZA = b'failover peer "lan" state {\n  my state partner-down;\n  partner state communications-interrupted;\n}\n'


def edited(path: Path, edit: str, parameters: dict[str, str | int]) -> bytes:
    assert IscProcess().prepare(path, [edit], parameters).changed
    return path.read_bytes()


def last_records(data: bytes) -> dict[str, str]:
    """Read a file as dhcpd would: the last record of an address counts."""
    found = re.findall(r"^lease (\S+) \{\n((?:  .*\n)*)\}\n", data.decode("latin-1"), re.MULTILINE)
    return dict(found)


def state(record: str) -> str:
    found = re.search(r"^  binding state (\w+);$", record, re.MULTILINE)
    assert found
    return found[1]


def ends(record: str) -> float:
    found = re.search(r"^  ends (.*);$", record, re.MULTILINE)
    assert found
    if found[1] == "never":
        return float("inf")
    day, _, written = found[1].partition(" ")
    when = time.strptime(written, "%Y/%m/%d %H:%M:%S")
    assert int(day) == (when.tm_wday + 1) % 7
    return calendar.timegm(when)


def instant(record: str) -> bytes:
    return records.Lease(b"", record.encode("latin-1"), whole=True, start=0, end=0).ends


def kept(record: str, now: float) -> bool:
    """Tell whether an address may be somebody's: by its state, or by an end to come beside a client."""
    early = state(record) in {"free", "backup"} and "hardware" in record and instant(record) > records.text(int(now))
    return state(record) in PROMISED or early


def until(when: str, record: bytes) -> bytes:
    return record.replace(b"6 2026/11/21 15:30:00", when.encode())


addresses = st.sampled_from([f"10.0.0.{n}" for n in range(6)])
ending = st.sampled_from(["6 2026/11/21 15:30:00", "3 2037/01/01 00:00:00", "never", "epoch 4000000000; # Thu"])
leases = st.builds(lambda a, s, e: until(e, lease(a, s)), addresses, st.sampled_from(STATES), ending)
whole = st.lists(st.one_of(leases, st.sampled_from([HEADER, FAILOVER, DELETED, SUBCLASS, b"\n"])), max_size=12)
torn = st.builds(lambda data, at: data[: at % len(data)], leases, st.integers(min_value=0, max_value=500))


@settings(max_examples=200, deadline=None)
@given(whole, torn)
def test_what_the_partner_may_have_promised_is_kept_and_nothing_else(parts: Sequence[bytes], rest: bytes) -> None:
    data = b"".join(parts)
    before = last_records(data + rest + b"\n" if rest.endswith(b"\n}") else data)
    with TemporaryDirectory() as directory:
        path = Path(directory) / "dhcpd.leases"
        path.write_bytes(data + rest)
        begin = time.time()
        after = last_records(edited(path, "survive", SURVIVE))
        assert set(after) >= set(before)
        for address, record in after.items():
            if not kept(before.get(address, record), begin):
                assert record == before[address]
                continue
            assert state(record) == "active"
            assert ends(record) >= begin + HOLD + 1
            assert "next binding state expired;" in record
            assert "rewind" not in record
            assert "atsfp" not in record
            assert address not in before or _client(record) == _client(before[address])
            if address in before and "never" in before[address]:
                assert ends(record) == float("inf")
        assert path.read_bytes().endswith(STANZA)
        # Once more, as after a crash: later ends, and the same addresses.
        again = last_records(edited(path, "survive", SURVIVE))
        assert {a: (state(r), _client(r)) for a, r in again.items()} == {
            a: (state(r), _client(r)) for a, r in after.items()
        }
        assert all(ends(again[a]) >= ends(r) for a, r in after.items() if state(r) == "active")


def _client(record: str) -> list[str]:
    return [line for line in record.splitlines() if line.split()[0] in {"hardware", "uid", "starts", "tstp"}]


damage = st.one_of(
    leases, torn, st.binary(max_size=20), st.sampled_from([b"}\n", b"\x00\x00\n", b"lease 10.0.0.1 {\n"])
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(damage.map(lambda part: part if part.endswith(b"\n") else part + b"\n")), st.sampled_from(sorted(PROMISED))
)
def test_damage_around_a_lease_frees_nothing(parts: list[bytes], held: str) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "dhcpd.leases"
        path.write_bytes(b"".join(parts) + lease("10.0.0.77", held) + b"".join(parts))
        record = last_records(edited(path, "survive", SURVIVE))["10.0.0.77"]
        assert (state(record), ends(record) > time.time() + HOLD) == ("active", True)


@pytest.mark.parametrize("cut", [b"  binding state free;\n", b"  ends 6 2026/11/21 15:30:00;\n", b"  starts"])
def test_a_damaged_record_frees_no_lease(cut: bytes, tmp_path: Path) -> None:
    path = tmp_path / "dhcpd.leases"
    part = lease("10.0.0.1", "free").partition(cut)[0]
    path.write_bytes(lease("10.0.0.1", "active") + part + lease("10.0.0.2", "free"))
    after = last_records(edited(path, "survive", SURVIVE))
    assert state(after["10.0.0.1"]) == "active"
    assert "02:00:5e:00:53:01" in after["10.0.0.1"]
    assert state(after["10.0.0.2"]) == "free"


def test_statements_that_are_damaged_are_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "dhcpd.leases"
    good = b'  client-hostname "a{b}\\"c";\n  set vendor = "x;y";\n'
    bad = b'  uid "open;\n  set x = { ;\n  option agent.circuit-id "\x00";\n  on expiry { }\n'
    path.write_bytes(lease("10.0.0.1", "active").replace(b"}\n", good + bad + b"}\n"))
    data = edited(path, "survive", SURVIVE)
    appended = data[data.rindex(b"lease ") :]
    assert good in appended
    assert not any(line in appended for line in bad.splitlines())


def test_recover_says_so_last(tmp_path: Path) -> None:
    path = tmp_path / "dhcpd.leases"
    path.write_bytes(HEADER + lease("10.0.0.1", "active") + FAILOVER + lease("10.0.0.2", "active")[:40])
    data = edited(path, "recover", RECOVER)
    assert data.startswith(HEADER + lease("10.0.0.1", "active") + FAILOVER + b"lease 10.0.0.1 {")
    assert data.endswith(b"}\n" + RECOVERING)
    assert list(records.changes(data))[-1] == ("recover", b"", "unknown-state")
    edited(path, "recover", RECOVER)
    assert list(records.changes(path.read_bytes()))[-1].my_state == "recover"


@settings(max_examples=200, deadline=None)
@given(whole, torn)
def test_who_recovers_has_nothing_to_say_and_forgets_nothing(parts: Sequence[bytes], rest: bytes) -> None:
    data = b"".join(parts)
    before = last_records(data + rest + b"\n" if rest.endswith(b"\n}") else data)
    with TemporaryDirectory() as directory:
        path = Path(directory) / "dhcpd.leases"
        path.write_bytes(data + rest)
        begin = time.time()
        after = last_records(edited(path, "recover", RECOVER))
        assert set(after) >= set(before)
        for address, record in after.items():
            # dhcpd tells what is later than it was acknowledged, and takes the end for it where none is given.
            assert TOLD.findall(record) == [NOTHING]
            if address in before:
                assert set(KNOWN.findall(record)) == set(KNOWN.findall(before[address]))
            if kept(before.get(address, record), begin):
                assert (state(record), NEXT.findall(record)) == ("expired", ["free"])
            else:  # and with no next state it does nothing at the end
                assert (state(record), NEXT.findall(record)) == (state(before[address]), [])
        assert path.read_bytes().endswith(RECOVERING)
        assert last_records(edited(path, "recover", RECOVER)) == after
        survived = last_records(edited(path, "survive", SURVIVE))
        assert all(state(survived[address]) == "active" for address in after if kept(after[address], begin))
        assert not any(NOTHING in TOLD.findall(record) for record in survived.values() if state(record) == "active")


def test_emptied_and_set_aside_once(tmp_path: Path) -> None:
    path = tmp_path / "dhcpd.leases"
    aside = tmp_path / "dhcpd.leases.set-aside"
    path.write_bytes(FAILOVER)
    for _ in range(2):  # the second as after a crash: what was set aside stays
        assert edited(path, "empty", {}) == b""
        assert aside.read_bytes() == FAILOVER
    path.unlink()
    assert edited(path, "empty", {}) == b""
    assert aside.read_bytes() == FAILOVER
    path.write_bytes(HEADER)
    edited(path, "empty", {})
    assert aside.read_bytes() == HEADER


@pytest.mark.parametrize(
    ("edits", "parameters", "message"),
    [
        (["survive"], {"hold": 60}, "survive needs the parameter 'relationship'"),
        (["survive"], {"relationship": "lan"}, "survive needs the parameter 'hold'"),
        (["survive"], {"relationship": "lan", "hold": "60"}, "hold '60' is no length"),
        (["survive"], {"relationship": "lan", "hold": True}, "hold True is no length"),
        (["survive"], {"relationship": "lan", "hold": 0}, "hold 0 is no length"),
        (["survive"], {"relationship": "lan", "hold": 1 << 31}, "beyond the last second"),
        (["survive"], {"relationship": 'l"an', "hold": 60}, "no name of a failover relationship"),
        (["survive"], {"relationship": 7, "hold": 60}, "no name of a failover relationship"),
        (["resume"], {"role": "primary"}, "resume needs the parameter 'hold'"),
        (["resume"], {"hold": 60}, "resume needs the parameter 'role'"),
        (["resume"], {"hold": 60, "role": "third"}, "role 'third' is none of a pair: primary or secondary"),
        (["resume"], {"hold": 60, "role": 1}, "role 1 is none of a pair"),
        (["resume"], {"hold": 1 << 31, "role": "primary"}, "beyond the last second"),
        (["recover"], {}, "recover needs the parameter 'relationship'"),
        (["recover"], {"relationship": "lan", "colour": 1}, "unknown parameter 'colour'"),
        (["recover", "survive"], SURVIVE, "in one way only, not as recover and as survive"),
        (["empty", "polish"], {}, "unknown edit 'polish'"),
    ],
)
def test_nothing_is_changed_on_bad_input(
    edits: list[str], parameters: dict[str, str | int], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "dhcpd.leases"
    path.write_bytes(lease("10.0.0.1", "active"))
    with pytest.raises(EditError, match=re.escape(message)):
        IscProcess().prepare(path, edits, parameters)
    assert path.read_bytes() == lease("10.0.0.1", "active")
    assert [entry.name for entry in tmp_path.iterdir()] == ["dhcpd.leases"]


@pytest.mark.parametrize("edit", ["survive", "recover"])
def test_a_failure_leaves_the_old_file(edit: str, tmp_path: Path) -> None:
    path = tmp_path / "dhcpd.leases"
    path.write_bytes(lease("10.0.0.1", "active"))
    (tmp_path / "dhcpd.leases.new").mkdir()  # nothing can be written there
    with pytest.raises(EditError, match="cannot be edited"):
        IscProcess().prepare(path, [edit], SURVIVE)
    assert path.read_bytes() == lease("10.0.0.1", "active")


def test_killed_at_any_instant_it_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "dhcpd.leases"
    old = HEADER + b"".join(lease(f"10.0.{n >> 8}.{n & 255}", STATES[n % 7]) for n in range(5_000)) + FAILOVER
    seen = set()
    path.write_bytes(old)
    begin = time.monotonic()
    IscProcess().prepare(path, ["survive"], SURVIVE)
    whole_time = time.monotonic() - begin
    for step in range(12):
        path.write_bytes(old)
        child = os.fork()
        if child == 0:
            IscProcess().prepare(path, ["survive"], SURVIVE)
            os._exit(0)
        if step < 11:  # the last one is left to end
            time.sleep(step * whole_time / 8)  # the instant
            os.kill(child, 9)
        os.waitpid(child, 0)
        data = path.read_bytes()
        seen.add(data == old)
        assert data == old or (data.startswith(old) and data.endswith(STANZA) and len(last_records(data)) == 5_000)
    assert seen == {True, False}


def test_a_hundred_thousand_leases_take_about_a_second(tmp_path: Path) -> None:
    path = tmp_path / "dhcpd.leases"
    with path.open("wb") as file:
        file.writelines(lease(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", "active") for n in range(100_000))
    begin = time.process_time()
    edited(path, "survive", SURVIVE)
    spent = time.process_time() - begin
    assert spent < 4, f"{spent:.2f} s"


@pytest.mark.parametrize("freed", ["free", "backup"])
@pytest.mark.parametrize(("left", "client", "held"), [(100, True, True), (-100, True, False), (100, False, False)])
def test_an_address_that_was_freed_before_its_end_is_still_somebodys(
    tmp_path: Path, freed: str, left: int, *, client: bool, held: bool
) -> None:
    path = tmp_path / "dhcpd.leases"
    when = records.statement(records.text(int(time.time()) + left)).decode()
    record = until(when, lease("10.0.0.7", freed) if client else lease("10.0.0.7", freed, mac=None))
    path.write_bytes(HEADER + record)
    after = last_records(edited(path, "survive", SURVIVE))["10.0.0.7"]
    assert (state(after) == "active") == held


def _acknowledged(record: bytes, when: str) -> bytes:
    return record.replace(b"  binding", f"  atsfp {when};\n  binding".encode(), 1) if when else record


acknowledged = st.sampled_from(["", "6 2026/11/21 15:59:59", "6 2026/11/21 16:00:00", "never"])
told = leases.map(lambda record: record.replace(b"  rewind binding state free;\n", b""))
resumed = st.builds(_acknowledged, leases | told, acknowledged)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(Role),
    st.lists(st.one_of(resumed, st.sampled_from([HEADER, FAILOVER, SUBCLASS, b"\n"])), max_size=12),
)
def test_who_resumes_announces_no_lease_as_over_that_may_run(role: Role, parts: Sequence[bytes]) -> None:
    data = b"".join(parts)
    before = last_records(data)
    with TemporaryDirectory() as directory:
        path = Path(directory) / "dhcpd.leases"
        path.write_bytes(data)
        begin = time.time()
        IscProcess().prepare(path, ["resume"], {"hold": HOLD, "role": role})
        written = path.read_bytes()
        after = last_records(written)
        assert after.keys() == before.keys()
        changed = False
        for address, record in after.items():
            old = before[address]
            unheard = not re.search(r"^  atsfp (?:6 2026/11/21 16:00:00|never);$", old, re.MULTILINE)
            over = "  ends 6 2026/11/21 15:30:00;" in old
            if role is Role.PRIMARY and state(old) == "backup" and unheard and "rewind" not in old:
                changed = True  # the partner may have given it to somebody, and goes by that word all the same
                assert (state(record), NEXT.findall(record), instant(record)) == ("backup", [], instant(old))
                assert KNOWN.findall(record) == KNOWN.findall(old)
                told = dict(TIMES.findall(record))
                assert list(told) == ["tstp", "tsfp"]
                assert all(when.encode() > records.text(int(begin) + HOLD + 25) for when in told.values())
                assert "rewind" not in record
            elif kept(old, begin) and (unheard or over):
                changed = True
                # A primary that heard that it is over may have given it away, and one that did not lets it end.
                unsaid = role is Role.SECONDARY and state(old) in PROMISED - {"active"}
                assert state(record) == ("reset" if unsaid else "active")
                assert (NOTHING in record) == unsaid
                # Else who gave it back got it for longer than a secondary knows that has freed it.
                assert state(old) not in PROMISED - {"active"} or "  tsfp" not in record
                assert ends(record) > begin + HOLD + 25  # some seconds until the two meet
                assert KNOWN.findall(record) == KNOWN.findall(old)
            else:
                assert record == old
        assert changed or written == data
        # Once more, as after a crash: of what is not said, that stays so.
        IscProcess().prepare(path, ["resume"], {"hold": HOLD, "role": role})
        again = last_records(path.read_bytes())
        assert {a: again[a] for a, r in after.items() if NOTHING in r} == {
            a: r for a, r in after.items() if NOTHING in r
        }


@pytest.mark.parametrize(("left", "promised"), [(100, True), (-100, False)])
def test_what_was_left_to_the_partner_until_an_instant_to_come_it_may_have_promised_so_long(
    tmp_path: Path, left: int, *, promised: bool
) -> None:
    path = tmp_path / "dhcpd.leases"
    survive = SURVIVE | {"role": Role.PRIMARY}
    when = records.statement(records.text(int(time.time()) + left))
    record = lease("10.0.0.7", "backup").replace(b"  rewind binding state free;\n", b"")
    record = record.replace(b"tstp 6 2026/11/21 16:00:00", b"tstp " + when)
    path.write_bytes(record)
    edited(path, "resume", {"hold": HOLD, "role": Role.PRIMARY})
    _is_nobodys(last_records(edited(path, "survive", survive))["10.0.0.7"])  # it may have heard that
    path.write_bytes(record)
    after = last_records(edited(path, "survive", survive))["10.0.0.7"]
    if promised:
        _is_nobodys(after)
    else:
        assert after == last_records(record)["10.0.0.7"]


@pytest.mark.parametrize(
    ("left", "role", "nobodys"), [(100, "primary", True), (-1, "primary", False), (100, "secondary", False)]
)
def test_what_was_released_until_an_instant_to_come_was_being_left_to_the_partner(
    tmp_path: Path, left: int, role: str, *, nobodys: bool
) -> None:
    path = tmp_path / "dhcpd.leases"
    when = records.statement(records.text(int(time.time()) + left)).decode()
    path.write_bytes(until(when, lease("10.0.0.7", "released")))
    after = last_records(edited(path, "survive", SURVIVE | {"role": role}))["10.0.0.7"]
    if nobodys:
        _is_nobodys(after)
    else:
        assert KNOWN.findall(after) == KNOWN.findall(lease("10.0.0.7", "released").decode())


@pytest.mark.parametrize("over", ["released", "expired"])
@pytest.mark.parametrize(("rewind", "nobodys"), [("", True), ("released", True), ("active", False)])
def test_what_a_primary_may_have_given_away_is_nobodys_to_a_secondary(
    tmp_path: Path, over: str, rewind: str, *, nobodys: bool
) -> None:
    path = tmp_path / "dhcpd.leases"
    line = f"  rewind binding state {rewind};\n" if rewind else ""
    record = lease("10.0.0.7", over).replace(b"  rewind binding state free;\n", line.encode())
    survive = SURVIVE | {"role": Role.SECONDARY}
    path.write_bytes(record)
    after = last_records(edited(path, "survive", survive))["10.0.0.7"]
    if nobodys:
        _is_nobodys(after)
    else:
        assert KNOWN.findall(after) == KNOWN.findall(record.decode())
    path.write_bytes(record)
    edited(path, "resume", {"hold": HOLD, "role": Role.SECONDARY})
    _is_nobodys(last_records(edited(path, "survive", survive))["10.0.0.7"])
    path.write_bytes(record)
    edited(path, "recover", SURVIVE)  # by then it knows nothing of what was given since: it only keeps all there was
    after = last_records(edited(path, "survive", survive))["10.0.0.7"]
    assert KNOWN.findall(after) == KNOWN.findall(record.decode())


@pytest.mark.parametrize(
    ("rewind", "unheard", "kept"),
    [
        ("active", True, Role),
        ("", True, Role),  # the link had stalled when it was declined
        ("free", True, [Role.SECONDARY]),
        ("backup", True, [Role.PRIMARY]),
        ("active", False, []),
    ],
)
def test_what_a_client_declined_is_nobodys_where_the_partner_may_have_leased_it_again(
    tmp_path: Path,
    rewind: str,
    unheard: bool,  # noqa: FBT001  # a case
    kept: Sequence[Role],
) -> None:
    path = tmp_path / "dhcpd.leases"
    record = lease("10.0.0.7", "abandoned", mac=None).replace(b"  rewind binding state free;\n", b"")
    lines = b"" if unheard else b"  atsfp never;\n"
    lines += f"  rewind binding state {rewind};\n".encode() if rewind else b""
    record = record.replace(b"  binding state", lines + b"  binding state", 1)
    for role in Role:
        path.write_bytes(record)
        after = last_records(edited(path, "survive", SURVIVE | {"role": role}))["10.0.0.7"]
        if role in kept:
            _is_nobodys(after)
        else:
            assert after == last_records(record)["10.0.0.7"]


def _is_nobodys(record: str) -> None:
    """See that nobody gets it, not even the client that had it before, for as long as the partner may have given it."""
    assert state(record) == "active"
    assert ends(record) > time.time() + HOLD
    assert [each.split(" ", 4)[2:] for each in KNOWN.findall(record)] == [
        ["hardware", "ethernet", "00:00:00:00:00:00;"]
    ]
    assert not TIMES.findall(record)  # dhcpd tells the end
