"""What the project is for: two bare dhcpds, partner-down by a timer, and the duplicates that clients then see.

The judge must catch these, and find nothing where nothing is wrong: else its verdicts of our own pairs mean nothing.
"""

import dataclasses
import struct
import time
from collections.abc import Iterator
from contextlib import closing

import pypureomapi  # type: ignore[import-untyped]  # typed inside, but without the py.typed marker
import pytest
from msgspec.structs import replace

from tests.lab.crowd import Habit, Pace
from tests.lab.history import Verdict, judge, last_answer, longest_gap
from tests.lab.load import Load, Plan
from tests.lab.recorder import Recorder
from tests.lab.waiting import until
from tests.net.jig import SECRET, Server, await_states
from tests.net.services import PRIMARY, SECONDARY, service
from tests.net.split import SplitLan
from tests.unit.engines.cases import run
from twinlease.model.service import Service
from twinlease.model.states import FailoverState

MCLT, LEASE = 10, 30  # seconds
TIMER = 2.0  # what an impatient script waits before it declares the partner down
PLAN = Plan(rate=5.0, alive=20, pace=Pace(retry=1.5, longest_retry=6.0, stay=(2.0, 10.0), away=(0.5, 3.0)))
WANTING = dataclasses.replace(PLAN, alive=32, mix={Habit.STAY: 8, Habit.REBOOT: 2})
"""On either half as many as there are addresses, and who has one keeps it: each that is given away is a duplicate."""
INTERRUPTED = (FailoverState.COMMUNICATIONS_INTERRUPTED, FailoverState.NORMAL)
PARTNER_DOWN = struct.pack("!I", 4)


def short_service(*, last: str) -> Service:
    """Return a pool from .100 to `last` with short timers."""
    offered = service(run("10.77.0.100", last))
    return replace(
        offered,
        failover=replace(offered.failover, mclt=MCLT),
        pools=(replace(offered.pools[0], default_lease=LEASE, minimum_lease=MCLT, maximum_lease=LEASE),),
    )


@pytest.fixture
def lan() -> Iterator[SplitLan]:
    """A LAN of two halves with a server on each; none runs yet."""
    with SplitLan(PRIMARY, SECONDARY) as made:
        yield made


def so_far(recorder: Recorder) -> Verdict:
    """Judge what has been seen up to now."""
    return judge(recorder.so_far())


def declare_partner_down(server: Server) -> None:
    """Do what a script with omshell does, and no more."""
    with server.namespace.entered():
        session = pypureomapi.Omapi("127.0.0.1", 7911, server.engine.control_key.encode(), SECRET.encode(), timeout=2.0)
    with closing(session):
        question = pypureomapi.OmapiMessage.open(b"failover-state")
        question.update_object({b"name": b"lan"})
        answer = session.query_server(question)
        order = pypureomapi.OmapiMessage.update(answer.handle)
        order.update_object({b"local-state": PARTNER_DOWN})
        said = session.query_server(order)
    assert said.opcode == pypureomapi.OMAPI_OP_STATUS
    assert dict(said.message)[b"result"] == bytes(4)


def test_two_bare_servers_and_a_timer_make_duplicates_and_the_judge_says_so(lan: SplitLan) -> None:
    lan.start(short_service(last="10.77.0.127"))
    with Recorder(lan.ports()) as recorder, Load(lan.machines(), WANTING) as load:
        until("clients on both servers", lambda: min(acks(recorder), default=0) > 10, timeout=15, every=0.5)
        until("most addresses are in use", lambda: len(load.holders()) > 20, timeout=15, every=0.5)
        before = so_far(recorder)
        lan.split()
        for server in lan.servers.values():
            with closing(server.control()) as control:
                await_states(control, INTERRUPTED, timeout=10)
        time.sleep(TIMER)
        declare_partner_down(lan.primary)
        until("a duplicate", lambda: bool(so_far(recorder).violations), timeout=45, every=0.5)
        # The clients' own account, which the judge knows nothing of, says the same.
        until("two clients with one address", lambda: any(len(h) > 1 for h in load.holders().values()), timeout=20)
        load.stop()
        verdict = judge(recorder.stop().whole().observations)
    assert before.violations == ()
    assert len(verdict.violations) >= 1
    for found in verdict.violations:
        assert {found.earlier.server, found.later.server} == {str(PRIMARY.ip), str(SECONDARY.ip)}
        assert {found.earlier.segment, found.later.segment} == {"left", "right"}


def test_without_a_fault_nothing_is_found_and_every_client_is_served(lan: SplitLan) -> None:
    lan.start(short_service(last="10.77.0.249"))
    with Recorder(lan.ports()) as recorder, Load(lan.machines(), PLAN) as load:
        until("longer than a lease", lambda: so_far(recorder).statistics.seconds > LEASE + 2, timeout=60, every=0.5)
        assert {len(clients) for clients in load.holders().values()} == {1}
        load.stop()
        recording = recorder.stop().whole()
    verdict = judge(recording.observations)
    assert (verdict.violations, verdict.grazes) == ((), ())
    figures = verdict.statistics
    assert figures.acks.total() > 100
    assert min(figures.acks.values()) > 20
    assert figures.messages["RELEASE"] > 5
    assert not figures.messages["NAK"]
    for server in (PRIMARY, SECONDARY):
        last = last_answer(verdict.answers, str(server.ip))
        assert last is not None
        assert recording.ended - last < 10
    # dhcpd pings an address that it has not given before, for a second.
    begin, end = longest_gap(verdict.answers, recording.began, recording.ended)
    assert end - begin < 6
    summary = load.summary()
    assert not {outcome for _, outcome in summary.outcomes} - {"ack", "left", ""}
    assert len(summary.waits["reboot"]) > 5
    # A renewal by unicast needs the server to find the client by ARP; by broadcast it would be answered at T2 only.
    assert len(summary.waits["renew"]) > 20
    assert summary.waits["renew"][-1] < 1
    # Nothing that a client was told has escaped the recorder.
    assert figures.acks.total() >= sum(map(len, summary.waits.values()))


def acks(recorder: Recorder) -> list[int]:
    """Return how many ACKs each server has given, of those that gave any."""
    return list(so_far(recorder).statistics.acks.values())
