"""Real sidecars and guards: a lease database that is not the confirmed one is known before dhcpd starts."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec import UNSET

from tests.lab.waiting import until
from tests.net.client import Clients, hardware_addresses
from tests.net.granting import QUICK
from tests.net.jig import Jig
from tests.net.managed import ManagedPair, Member, managed
from tests.net.services import service
from twinlease.model.states import Role

A = Role.PRIMARY
LEASES, RECORD = "dhcpd.leases", "twinlease.json"


@pytest.fixture
def stopped(jig: Jig, clients: Clients, tmp_path: Path) -> Iterator[ManagedPair]:
    """A pair with leases, of which the primary's pod was deleted; an older copy of its disk is kept."""
    with managed(jig, QUICK) as pair:
        pair.start(service())
        assert len(clients.lease(hardware_addresses(5), timeout=10)) == 5
        keep(pair.primary, tmp_path)
        reached = pair.primary.guard.engine.recorded(tmp_path / LEASES).newest
        assert len(clients.lease(hardware_addresses(5, family=1), timeout=10)) == 5
        # The leases are looked at every ten seconds.
        until("more is confirmed", lambda: pair.operator.own(A).lineage.newest > reached, timeout=25)
        pair.operator.paused = True
        pair.primary.delete()
        yield pair


def keep(member: Member, directory: Path) -> None:
    """Copy a member's disk."""
    for name in (LEASES, RECORD):
        shutil.copy(member.guard.lease_dir / name, directory / name)


def lost(disk: Path, _: Path) -> None:
    """Lose everything."""
    for name in (LEASES, RECORD):
        (disk / name).unlink()


def stale(disk: Path, old: Path) -> None:
    """Bring an older state back."""
    for name in (LEASES, RECORD):
        shutil.copy(old / name, disk / name)


def short(disk: Path, old: Path) -> None:
    """Bring the older leases back, and not the record."""
    shutil.copy(old / LEASES, disk / LEASES)


def foreign(disk: Path, _: Path) -> None:
    """Have another server's disk, or that of an earlier pair."""
    record = json.loads((disk / RECORD).read_text(encoding="ascii"))
    (disk / RECORD).write_text(json.dumps({**record, "id": "f" * 32}), encoding="ascii")


@pytest.mark.parametrize(
    ("damage", "verdict"), [(lost, "Lost"), (stale, "Stale"), (short, "Short"), (foreign, "Foreign"), (None, "Intact")]
)
def test_it_is_known_before_anything_starts(
    stopped: ManagedPair, tmp_path: Path, damage: Callable[[Path, Path], None] | None, verdict: str
) -> None:
    member, disk = stopped.primary, stopped.primary.guard.lease_dir
    confirmed = stopped.operator.own(A).lineage
    if damage is not None:
        damage(disk, tmp_path)
    before = (disk / LEASES).read_bytes() if (disk / LEASES).exists() else b""
    member.new_pod()
    member.start()
    until("it asks", lambda: stopped.operator.own(A).asks is not UNSET, timeout=10)
    own = stopped.operator.own(A)
    assert own.database.verdict == verdict
    assert own.lineage.id == confirmed.id
    assert own.lineage.counter >= confirmed.counter
    if damage is not None:
        assert own.lineage == confirmed  # what was lost stays on record
        until("it is told", lambda: member.condition("LeaseDatabaseIntact") == ("False", verdict), timeout=5)
    assert member.guard.client.status().starts == 0
    assert ((disk / LEASES).read_bytes() if (disk / LEASES).exists() else b"") == before
    # The operator decides what becomes of it.
    stopped.operator.paused = False
    if verdict in {"Intact", "Foreign"}:
        stopped.await_normal(timeout=60)
        assert stopped.operator.grant(A).start == ("Resume" if verdict == "Intact" else "Recover")
        until("it counts as intact", lambda: stopped.operator.own(A).database.verdict == "Intact", timeout=5)
