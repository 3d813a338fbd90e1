"""Real sidecars scraped over HTTP, while real dhcpds go through their states."""

import math
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.lab.waiting import until
from tests.net.apiserver import NAMESPACE
from tests.net.client import Clients, hardware_addresses
from tests.net.granting import QUICK
from tests.net.jig import Jig, Namespace
from tests.net.managed import ManagedPair, Member, managed
from tests.net.scraping import Scrape, get
from tests.net.services import service
from twinlease.metrics.table import TABLE, Exporter
from twinlease.model.states import Role

PERMIT = "server_permit_remaining_seconds"


@pytest.fixture
def pair(jig: Jig) -> Iterator[ManagedPair]:
    """A managed pair with short times, of which nothing runs yet."""
    with managed(jig, QUICK) as made:
        yield made


@pytest.fixture
def lan(jig: Jig) -> Namespace:
    """Where Prometheus would be: on the LAN, with an address of its own."""
    jig.clients.ip("address add 10.77.0.250/24 dev eth0")
    return jig.clients


@pytest.fixture
def normal(pair: ManagedPair) -> ManagedPair:
    """The same, Normal/Normal."""
    pair.start(service())
    return pair


def scraped(
    what: str, member: Member, lan: Namespace, wanted: Callable[[Scrape], bool], within: float = 10.0
) -> Scrape:
    """Scrape until it is as wanted, and return that scrape."""
    last: list[Scrape] = []

    def look() -> bool:
        try:
            last[:] = [Scrape.of(member, lan)]
        except ConnectionRefusedError:  # it has just been started
            return False
        return wanted(last[0])

    until(what, look, timeout=within, every=0.3)
    return last[0]


def test_a_pair_in_normal_tells_all_that_the_table_promises(
    normal: ManagedPair, lan: Namespace, clients: Clients
) -> None:
    assert len(clients.lease(hardware_addresses(20), timeout=20)) == 20

    def settled(scrape: Scrape) -> bool:
        return (
            scrape.value("pool_addresses", state="active") == 20
            and scrape.value("server_unacked_updates") == 0
            and scrape.state("server_clocks") == "Agree"
        )

    found = {
        role: scraped("leases are counted", member, lan, settled, within=40) for role, member in normal.members.items()
    }
    for role, scrape in found.items():
        me = {"namespace": NAMESPACE, "pair": "lan", "server": f"lan-{role}", "role": str(role)}
        assert all(me.items() <= labels.items() for labels, _ in scrape.all("server_running"))
        assert scrape.state("server_state") == scrape.state("server_partner_state") == "Normal"
        assert scrape.state("server_lease_database") == "Intact"
        assert scrape.state("server_permit") == "Held"
        for name in ("running", "serving", "guard_up", "kernel_fence", "peer_heard", "config_current"):
            assert scrape.value(f"server_{name}") == 1, name
        assert scrape.value("server_config_rejected") == scrape.value("server_maintenance") == 0
        assert 0 < scrape.value(PERMIT) <= QUICK.duration
        assert 0 < scrape.value("server_promise_remaining_seconds") <= QUICK.promise
        assert 0 < scrape.value("server_promised_seconds") <= QUICK.promise * 1.01 + 1
        assert scrape.value("server_renewals_total") > 1
        assert scrape.value("server_promises_received_total") > 1
        assert scrape.value("server_renewal_age_seconds") < QUICK.duration
        assert abs(scrape.value("server_clock_offset_seconds")) < 0.1
        assert scrape.value("server_mclt_seconds") == 30
        assert abs(time.time() - scrape.value("server_state_start_time_seconds")) < 120
        assert scrape.value("server_interruption_seconds") == 0
        assert scrape.value("server_starts_total") == 1
        assert scrape.value("server_grant_epoch") == normal.operator.grant(role).epoch
        assert scrape.reason("Serving") == ("True", "Normal")
        assert scrape.reason("Permitted") == ("True", "Held")
        assert {labels["component"] for labels, _ in scrape.all("server_version_info")} == {
            "sidecar",
            "guard",
            "engine",
        }
        own, peer = scrape.value("pool_free_addresses", owner="own"), scrape.value("pool_free_addresses", owner="peer")
        assert (own + peer, min(own, peer) > 0) == (80, True)
        assert scrape.value("api_request_duration_seconds_count", method="PATCH", result="ok") > 1
        assert scrape.series["process_resident_memory_bytes", frozenset()] > 1e7
    for kind in ("discover", "offer", "request", "ack", "nak", "decline"):
        counted = {role: scrape.value("server_dhcp_messages_total", type=kind) for role, scrape in found.items()}
        logged = {role: each.guard.said().count(f"\nDHCP{kind.upper()} ") for role, each in normal.members.items()}
        assert counted == logged, kind
        assert sum(counted.values()) >= (0 if kind in {"nak", "decline"} else 20)
    primary, secondary = found[Role.PRIMARY], found[Role.SECONDARY]
    assert primary.value("pool_free_addresses", owner="own") == primary.value("pool_addresses", state="free")
    assert secondary.value("pool_free_addresses", owner="own") == secondary.value("pool_addresses", state="backup")
    told = {name.removesuffix("_bucket") for name, _ in primary.series}
    absent = {each.name for each in TABLE if Exporter.SIDECAR in each.by} - told
    # Nobody has ended, refused anything or is in a state in which these count.
    assert absent <= {
        "twinlease_server_exits_total",
        "twinlease_server_peer_messages_refused_total",
        "twinlease_server_peer_addresses_usable_in_seconds",
        "twinlease_server_recover_remaining_seconds",
    }


def test_a_takeover_and_a_return_show_in_every_step(normal: ManagedPair, lan: Namespace, clients: Clients) -> None:
    survivor, other = normal.primary, normal.secondary
    assert len(clients.lease(hardware_addresses(20), timeout=30)) == 20
    other.kill()
    with pytest.raises(OSError, match=r"refused|No route|timed out"):
        Scrape.of(other, lan)
    cut = scraped(
        "the survivor is cut off",
        survivor,
        lan,
        lambda scrape: scrape.state("server_state") == "CommunicationsInterrupted",
    )
    assert cut.value("server_serving") == 1
    assert cut.value("server_interruptions_total") >= 1
    later = scraped("it lasts", survivor, lan, lambda scrape: scrape.value("server_interruption_seconds") > 1)
    assert later.value("server_peer_heard") in (0, 1)
    down = scraped(
        "it is in partner-down", survivor, lan, lambda scrape: scrape.state("server_state") == "PartnerDown", within=60
    )
    assert 0 < down.value("server_peer_addresses_usable_in_seconds") <= 30
    assert down.reason("Serving") == ("True", "PartnerDown")
    assert down.value("server_state_transitions_total") >= 2
    assert down.value("server_promise_remaining_seconds") == 0
    assert down.state("server_clocks") == "Unknown"
    assert not list(down.all("server_clock_offset_seconds"))
    other.new_pod()
    other.start()

    def recovers(scrape: Scrape) -> bool:
        return scrape.state("server_state") in ("Recover", "RecoverWait")

    waits = scraped("the other one recovers", other, lan, recovers, within=40)
    assert waits.value("server_recover_remaining_seconds") <= 30
    assert waits.value("server_serving") == 0
    assert waits.value("server_lease_database_edits_total") == 1, "it was made to recover"
    normal.await_normal(timeout=60)
    for member in normal.members.values():
        back = scraped("normal again", member, lan, lambda scrape: scrape.state("server_state") == "Normal", within=10)
        assert not list(back.all("server_recover_remaining_seconds"))
        assert not list(back.all("server_peer_addresses_usable_in_seconds"))
    counted = Scrape.of(survivor, lan).value("server_interruptions_total")
    assert counted >= 1
    survivor.sidecar.signal(signal.SIGKILL)
    survivor.sidecar.start()
    anew = scraped("the next sidecar looks", survivor, lan, lambda scrape: scrape.state("server_state") == "Normal")
    assert anew.value("server_interruptions_total") == counted, "else a restart counts as all interruptions before it"


def test_without_the_api_a_promise_holds_and_failures_are_counted(normal: ManagedPair, lan: Namespace) -> None:
    member = normal.primary
    with normal.api.unreachable():
        promised = scraped(
            "it serves by a promise", member, lan, lambda scrape: scrape.state("server_permit") == "Promised", within=15
        )
        assert promised.value("server_renewal_failures_total") > 0
        assert promised.value(PERMIT) == pytest.approx(promised.value("server_promise_remaining_seconds"), abs=0.01)
        assert promised.value("server_renewal_age_seconds") > 2
        assert promised.reason("Permitted") == ("True", "Promised")
        failed = [
            value
            for labels, value in promised.all("api_request_duration_seconds_count", method="PATCH")
            if labels["result"] != "ok"
        ]
        assert sum(failed) > 0
    scraped("it is held again", member, lan, lambda scrape: scrape.state("server_permit") == "Held", within=15)


def test_a_server_that_is_revoked_says_why_it_does_not_serve(normal: ManagedPair, lan: Namespace) -> None:
    member = normal.secondary
    normal.operator.revoke(Role.SECONDARY)
    stopped = scraped("it has stopped", member, lan, lambda scrape: scrape.value("server_running") == 0)
    assert stopped.value("server_serving") == stopped.value(PERMIT) == 0
    assert stopped.state("server_state") == "Unknown"
    assert stopped.state("server_permit") == "None"
    assert stopped.reason("Serving") == ("False", "NotRunning")
    status, reason = stopped.reason("Permitted")
    assert (status, reason in {"Revoked", "WaitingForGrant"}) == ("False", True)
    assert not list(stopped.all("server_mclt_seconds"))
    assert not list(stopped.all("pool_runway_seconds"))
    assert sum(value for _, value in stopped.all("server_exits_total")) == 1
    member.guard.signal(signal.SIGTERM)
    member.guard.process = None
    gone = scraped("the guard is gone", member, lan, lambda scrape: scrape.value("server_guard_up") == 0, within=15)
    assert not list(gone.all("server_starts_total"))


def test_a_refused_configuration_shows_with_its_revision(normal: ManagedPair, lan: Namespace) -> None:
    member = normal.primary
    running = member.guard.client.status().revision
    refused = member.want(service(), text="nonsense\nthat dhcpd does not take;\n")
    scrape = scraped("it is refused", member, lan, lambda scrape: scrape.value("server_config_rejected") == 1)
    revisions = {labels["which"]: labels["revision"] for labels, _ in scrape.all("server_config_revision_info")}
    assert revisions == {"wanted": refused[:12], "running": running[:12], "rejected": refused[:12]}
    assert scrape.value("server_config_current") == 0
    assert scrape.reason("ConfigAccepted") == ("False", "Rejected")
    assert scrape.value("server_serving") == 1


def test_free_addresses_that_become_fewer_have_a_runway(normal: ManagedPair, lan: Namespace, clients: Clients) -> None:
    # The normal case, for a minute is too long for a test: not enough time has passed to tell a rate from.
    assert len(clients.lease(hardware_addresses(5), timeout=10)) == 5
    scrape = scraped(
        "they are counted", normal.primary, lan, lambda found: found.value("pool_addresses", state="active") == 5, 25
    )
    assert scrape.value("pool_runway_seconds") == math.inf


def test_nothing_secret_is_told_and_a_sidecar_that_hangs_tells_nothing_old(normal: ManagedPair, lan: Namespace) -> None:
    member = normal.primary
    scrape = Scrape.of(member, lan)
    for secret in ("pod-lan-primary", member.guard.client.status().token, "10.77.0."):
        assert secret not in scrape.text
    assert get(member, lan, "/healthz") == (200, "ok\n")
    assert get(member, lan, "/metrics/secret")[0] == 404
