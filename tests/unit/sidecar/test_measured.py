"""What a sidecar exports of a snapshot, whatever the time of the scrape."""

import math
from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.sidecar.snapshots import BOOT, LAST_EXIT, NEW, NORMAL, OLD, TENURE, guard, in_states, observed, server
from twinlease.api.server import PoolUsage
from twinlease.decide.clocks import Agreement
from twinlease.decide.clocks import Verdict as Clocks
from twinlease.decide.permit import FOR_EVER, MARGIN, Permit, Promiser
from twinlease.ipc.client import Counts
from twinlease.metrics.table import TABLE, Exporter, Kind
from twinlease.model.states import FailoverState
from twinlease.sidecar.interruption import Interruption, Sample
from twinlease.sidecar.keeper import Held
from twinlease.sidecar.measured import OLD_SECONDS, Seen, Tally, samples, tracked
from twinlease.sidecar.observed import Desired, Observed
from twinlease.sidecar.peer import Heard
from twinlease.sidecar.plan import plan
from twinlease.sidecar.report import report

ME = ("ns", "lan", "lan-primary", "primary")
WALL = 1_700_000_100.0
POOL = PoolUsage(name="lan", addresses=100, active=60, free=25, backup=10, abandoned=4, other=1)


class Found:
    """The samples of a snapshot, by name."""

    def __init__(self, now: Observed, tally: Tally = Tally(), *, later: float = 0.0, **seen: Any) -> None:  # noqa: ANN401, B008  # immutable
        status = report(now, plan(now))
        made = samples("ns", Seen(now=now, status=status, **seen), tally, BOOT + later, WALL + later)
        self.series = {(each.metric.name.removeprefix("twinlease_"), each.labels): each.value for each in made}
        self.names = {name for name, _ in self.series}

    def __getitem__(self, key: str | tuple[str, ...]) -> float:
        name, *labels = (key,) if isinstance(key, str) else key
        return self.series[name, (*ME, *labels)]

    def state(self, name: str) -> list[str]:
        """Return which of a set of states are present."""
        return [labels[-1] for (found, labels), value in self.series.items() if found == name and value]


def running(**changes: Any) -> Observed:  # noqa: ANN401  # fields of the snapshot
    return observed(**{"guard": guard(NEW), "failover": NORMAL, "tenure": replace(TENURE, begun=True), **changes})


def test_a_server_in_normal() -> None:
    found = Found(
        running(pools=(POOL,)), Tally(renewals=9, failures=1, renewed=BOOT - 10, requests=5, promises=4, mended=3)
    )

    assert found.state("server_state") == found.state("server_partner_state") == ["Normal"]
    assert found["server_running"] == found["server_serving"] == found["server_config_current"] == 1
    assert found["server_permit_remaining_seconds"] == 240 - 10 - MARGIN
    assert found.state("server_permit") == ["Held"]
    assert found["server_renewal_age_seconds"] == 10
    assert found["server_leases_given_again_total"] == 3
    assert (found["server_renewals_total"], found["server_renewal_failures_total"]) == (9, 1)
    assert (found["server_promise_requests_total"], found["server_promises_received_total"]) == (5, 4)
    assert found["server_unacked_updates"] == 3
    assert found["pool_addresses", "lan", "active"] == 60
    assert (found["pool_free_addresses", "lan", "own"], found["pool_free_addresses", "lan", "peer"]) == (25, 10)
    assert found["server_dhcp_messages_total", "nak"] == 0
    assert found["server_condition", "Serving", "True", "Normal"] == 1


def test_the_secondary_s_own_addresses_are_the_backup_ones() -> None:
    found = Found(running(desired=Desired(object=server(role="secondary")), pools=(POOL,)))

    series = {labels: value for (name, labels), value in found.series.items() if name == "pool_free_addresses"}
    assert {labels[3:]: value for labels, value in series.items()} == {
        ("secondary", "lan", "own"): 10,
        ("secondary", "lan", "peer"): 25,
    }


def test_what_ticks_is_reckoned_at_the_scrape() -> None:
    now = running(
        held=Held(epoch=5, permit=Permit(duration=30.0, renewed=BOOT, asked=BOOT, promised=20.0)),
        promiser=Promiser(until=BOOT + 50),
    )
    first, later, over = Found(now), Found(now, later=15), Found(now, later=60)

    assert [each["server_permit_remaining_seconds"] for each in (first, later, over)] == [29, 14, 0]
    assert [each["server_promise_remaining_seconds"] for each in (first, later, over)] == [19, 4, 0]
    assert [each["server_promised_seconds"] for each in (first, later, over)] == [50, 35, 0]
    assert [each.state("server_permit") for each in (first, later, over)] == [["Held"], ["Held"], ["None"]]
    assert [each["server_look_age_seconds"] for each in (first, later, over)] == [0, 15, 60]


def test_a_permit_without_end_and_none_at_all() -> None:
    endless = Found(running(held=Held(epoch=5, permit=Permit(duration=FOR_EVER, renewed=BOOT))))
    none = Found(running(held=Held(epoch=5, permit=Permit(duration=240.0, renewed=BOOT - 10), broken=True)))

    assert (endless["server_permit_remaining_seconds"], endless.state("server_permit")) == (math.inf, ["Endless"])
    assert (none["server_permit_remaining_seconds"], none.state("server_permit")) == (0, ["None"])


def test_a_look_that_is_old_tells_nothing_but_its_age() -> None:
    found = Found(running(pools=(POOL,)), later=OLD_SECONDS + 1)

    assert found.names == {"build_info", "server_look_age_seconds"}
    assert found["server_look_age_seconds"] == OLD_SECONDS + 1


def test_before_anything_was_looked_at_there_is_the_version_only() -> None:
    assert {each.metric.name for each in samples("ns", None, Tally(), BOOT, WALL)} == {"twinlease_build_info"}


def test_a_server_that_does_not_run_has_no_word_of_its_states() -> None:
    found = Found(observed(failover=NORMAL, guard=guard(current=OLD, last_exit=LAST_EXIT)))

    assert found.state("server_state") == found.state("server_partner_state") == ["Unknown"]
    assert found["server_running"] == found["server_serving"] == found["server_config_current"] == 0
    assert "server_mclt_seconds" not in found.names
    assert "server_unacked_updates" not in found.names


def test_without_its_guard_nothing_of_the_guard_is_told() -> None:
    found = Found(observed(guard=None, guard_problem="no answer"))

    assert found["server_guard_up"] == 0
    assert not found.names & {"server_starts_total", "server_kernel_fence", "server_dhcp_messages_total"}


def test_what_the_guard_counted() -> None:
    counts = Counts({"ack": 7, "nak": 2, "damage": 1}, {"Stopped": 3, "PermitEnded": 1}, 4)
    found = Found(running(guard=guard(NEW, starts=5, counts=counts, clock_steps=2, dropped_log_bytes=99)))

    assert (found["server_dhcp_messages_total", "ack"], found["server_dhcp_messages_total", "nak"]) == (7, 2)
    assert (found["server_exits_total", "Stopped"], found["server_exits_total", "PermitEnded"]) == (3, 1)
    assert found["server_lease_database_damage_total"] == 1
    assert found["server_lease_database_edits_total"] == 4
    assert (found["server_starts_total"], found["server_clock_steps_total"]) == (5, 2)
    assert found["server_log_dropped_bytes_total"] == 99


@pytest.mark.parametrize(
    ("state", "since", "name", "expected"),
    [
        (FailoverState.PARTNER_DOWN, 100, "server_peer_addresses_usable_in_seconds", 1700),
        (FailoverState.PARTNER_DOWN, 3000, "server_peer_addresses_usable_in_seconds", 0),
        (FailoverState.RECOVER_WAIT, 100, "server_recover_remaining_seconds", 1700),
        (FailoverState.RECOVER, 3000, "server_recover_remaining_seconds", -1200),
    ],
)
def test_the_mclt_of_a_state(state: FailoverState, since: int, name: str, expected: float) -> None:
    said = replace(in_states(state, FailoverState.UNKNOWN), since=int(WALL) - since)
    names = {"server_peer_addresses_usable_in_seconds", "server_recover_remaining_seconds"}
    found = Found(running(failover=said))

    assert found[name] == expected
    assert found.names & names == {name}
    assert not Found(running()).names & names


def test_an_offset_that_is_not_measured_is_no_offset_of_0() -> None:
    measured = Found(running(clocks=Agreement(verdict=Clocks.DRIFT, offset=-1.5)))

    assert measured["server_clock_offset_seconds"] == -1.5
    assert measured.state("server_clocks") == ["Drift"]
    assert "server_clock_offset_seconds" not in Found(running()).names


def test_the_number_of_interruptions_is_told_once_it_is_known() -> None:
    """Else each restart of a sidecar would look as if the link had been lost as often as ever before."""
    assert "server_interruptions_total" not in Found(running()).names
    looked = Interruption(last=Sample(started=BOOT - 1, state=FailoverState.NORMAL))
    assert Found(running(interruption=looked))["server_interruptions_total"] == 0
    assert Found(running(interruption=replace(looked, number=7)))["server_interruptions_total"] == 7


def test_reasons_that_the_partner_gives_are_bounded() -> None:
    refused = tuple((f"By{number:04}", 1) for number in range(1000))
    found = Found(running(heard=Heard(lately=True, refused=refused)))

    assert sum(name == "server_peer_messages_refused_total" for name, _ in found.series) == 32


def test_a_runway_is_there_while_the_server_runs_and_for_the_pools_that_there_are() -> None:
    runways: dict[str, Any] = {}
    for number in range(11):
        now = running(pools=(replace(POOL, free=125 - 10 * number),), boot=BOOT - 100 + 10 * number)
        runways = tracked(runways, now)
    found = Found(now, runways=runways)

    assert found["pool_runway_seconds", "lan"] == pytest.approx(100 * (25 + 10) / 100)
    assert tracked(runways, running(pools=())) == {}
    assert tracked(runways, observed(pools=(POOL,))) == {}
    assert "pool_runway_seconds" not in Found(observed(pools=(POOL,)), runways=runways).names


def test_every_sample_is_one_of_the_table_s_with_its_labels() -> None:
    by_name = {metric.name: metric for metric in TABLE if Exporter.SIDECAR in metric.by}
    now = running(pools=(POOL,), heard=Heard(refused=(("WrongKey", 3),)))
    status = report(now, plan(now))
    for each in samples("ns", Seen(now=now, status=status), Tally(), BOOT, WALL):
        assert by_name[each.metric.name] is each.metric
        assert len(each.labels) == len(each.metric.labels)
        assert each.metric.kind is not Kind.HISTOGRAM
