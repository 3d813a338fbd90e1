"""The lease counter agrees with a naive reader, whatever happens to the file, and costs little."""

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.engines.cases import run
from tests.unit.engines.records import DELETED, FAILOVER, HEADER, HOST, SUBCLASS, lease
from twinlease.engines.isc.usage import IscLeaseCounter
from twinlease.model.service import AddressRange

POOLS = {"a": (run("10.0.0.1", "10.0.0.3"), run("10.0.0.5", "10.0.0.6")), "b": (run("10.0.1.0", "10.0.1.0"),)}
STATES = ["active", "free", "backup", "abandoned", "expired", "released", "reset"]


def naive(data: bytes, pools: Mapping[str, tuple[AddressRange, ...]]) -> dict[str, dict[str, int]]:
    """Read the whole file line by line; the last whole record of an address wins."""
    last: dict[str, str] = {}
    address = state = None
    for line in data.splitlines(keepends=True):
        text = line.decode("latin-1")
        if match := re.fullmatch(r"lease (\S+) \{\n", text):
            address, state = match[1], None
        elif match := re.fullmatch(r"  binding state (\w+);\n", text):
            state = state or match[1]
        elif text == "}\n":
            if address and state:
                last[address] = state
            address = None
        elif not text.startswith((" ", "\t")):
            address = None
    counts = {name: dict.fromkeys(("active", "free", "backup", "abandoned", "other"), 0) for name in pools}
    for name, ranges in pools.items():
        for known in ranges:
            for number in range(int(known.first), int(known.last) + 1):
                found = last.get(str(IPv4Address(number)), "free")
                counts[name][found if found in counts[name] else "other"] += 1
    return counts


addresses = st.sampled_from([f"10.0.0.{n}" for n in range(8)] + ["10.0.1.0", "10.0.2.9"])
record = st.one_of(
    st.builds(lease, addresses, st.sampled_from(STATES)),
    st.sampled_from([HEADER, FAILOVER, HOST, DELETED, SUBCLASS, b"\n"]),
)
cut = st.builds(lambda data, at: data[: at % (len(data) + 1)], record, st.integers(min_value=0, max_value=500))
contents = st.lists(record, max_size=6).map(b"".join)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), contents),
        st.tuples(st.just("tear"), cut),  # half a record: written in two parts, or by a crash
        st.tuples(st.just("rewrite"), contents),  # renamed into place, as dhcpd does
        st.tuples(st.just("truncate"), st.just(b"")),
        st.tuples(st.just("remove"), st.just(b"")),
    ),
    max_size=12,
)


def apply(step: tuple[str, bytes], path: Path) -> None:
    action, data = step
    if action in {"append", "tear"}:
        with path.open("ab") as file:
            file.write(data)
    elif action == "rewrite":
        new = path.with_name("new")
        new.write_bytes(data)
        new.replace(path)
    elif action == "truncate":
        path.write_bytes(b"")
    else:
        path.unlink(missing_ok=True)


@settings(max_examples=200, deadline=None)
@given(steps)
def test_it_agrees_with_a_naive_reader_after_every_step(sequence: list[tuple[str, bytes]]) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "dhcpd.leases"
        counter = IscLeaseCounter(path)
        for step in sequence:
            apply(step, path)
            data = path.read_bytes() if path.exists() else b""
            assert counter.count(POOLS) == naive(data, POOLS), step
        counter.close()


def test_a_record_counts_when_its_second_half_arrives(tmp_path: Path) -> None:
    path = tmp_path / "dhcpd.leases"
    whole = lease("10.0.0.1", "active")
    path.write_bytes(whole[:100])
    counter = IscLeaseCounter(path)
    assert counter.count(POOLS)["a"]["active"] == 0
    path.write_bytes(whole)
    assert counter.count(POOLS)["a"]["active"] == 1
    counter.close()


def test_other_pools_are_counted_from_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "dhcpd.leases"
    path.write_bytes(lease("10.0.0.4", "active"))
    counter = IscLeaseCounter(path)
    assert counter.count(POOLS)["a"]["active"] == 0
    assert counter.count({"c": (run("10.0.0.4", "10.0.0.4"),)})["c"]["active"] == 1
    counter.close()


def test_the_answer_is_the_callers_to_keep(tmp_path: Path) -> None:
    path = tmp_path / "dhcpd.leases"
    path.write_bytes(lease("10.0.0.1", "active"))
    counter = IscLeaseCounter(path)
    before = counter.count(POOLS)
    with path.open("ab") as file:
        file.write(lease("10.0.0.2", "active"))
    assert counter.count(POOLS)["a"]["active"] == 2
    assert before["a"]["active"] == 1
    counter.close()


def test_nonsense_is_no_lease(tmp_path: Path) -> None:
    path = tmp_path / "dhcpd.leases"
    path.write_bytes(lease("10.0.0.999", "active") + lease("10.0.0.1", "active"))
    counter = IscLeaseCounter(path)
    assert counter.count(POOLS)["a"]["active"] == 1
    counter.close()


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("big") / "dhcpd.leases"
    with path.open("wb") as file:
        file.writelines(lease(f"10.1.{n >> 8}.{n & 255}", "active" if n % 2 else "backup") for n in range(50_000))
    return path


BIG_POOL = {"big": (run("10.1.0.0", "10.1.255.255"),)}


def cpu_seconds(work: Callable[[], object], repeat: int) -> float:
    begin = time.process_time()
    for _ in range(repeat):
        work()
    return (time.process_time() - begin) / repeat


def test_fifty_thousand_leases_take_well_under_a_second(big: Path) -> None:
    counter = IscLeaseCounter(big)
    spent = cpu_seconds(lambda: counter.count(BIG_POOL), 1)
    assert counter.count(BIG_POOL)["big"] == {
        "active": 25_000, "backup": 25_000, "free": 15_536, "abandoned": 0, "other": 0,
    }  # fmt: skip
    assert spent < 0.7, f"{spent:.2f} s"
    counter.close()


def test_an_idle_poll_and_a_small_growth_cost_next_to_nothing(big: Path) -> None:
    counter = IscLeaseCounter(big)
    counter.count(BIG_POOL)
    assert cpu_seconds(lambda: counter.count(BIG_POOL), 200) < 0.0005
    with big.open("ab") as file:
        file.write(lease("10.1.0.0", "active"))
        file.flush()
        os.fsync(file.fileno())
        assert cpu_seconds(lambda: counter.count(BIG_POOL), 1) < 0.005
    assert Counter(counter.count(BIG_POOL)["big"])["active"] == 25_001
    counter.close()
