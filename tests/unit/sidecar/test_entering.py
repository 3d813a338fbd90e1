"""Entering partner-down while the server runs: all is held first, or nothing is told."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from typing import cast

import pytest
from msgspec.structs import replace

from tests.unit.sidecar.snapshots import in_states
from twinlease.engines.protocol import BindingLog, Control, ControlError, FailoverStatus
from twinlease.model.binding import Binding, Standing
from twinlease.model.states import FailoverState, Role
from twinlease.sidecar.entering import Entered, enter_running

NOW, HOLD = 1_700_000_000, 600
E = NOW + 1 + HOLD + 1
DEAF = 1_000_000  # for longer than it is waited
LEASED, ENDED, OTHER = Standing.LEASED, Standing.EXPIRED, Standing.FREE
IN_CONTACT = (FailoverState.NORMAL, FailoverState.POTENTIAL_CONFLICT, FailoverState.CONFLICT_DONE)
INTERRUPTED, DOWN = FailoverState.COMMUNICATIONS_INTERRUPTED, FailoverState.PARTNER_DOWN


class Server:
    """A server and its lease database."""

    def __init__(self, *records: Binding) -> None:
        self.records = list(records)
        self.state = INTERRUPTED
        self.partner = FailoverState.NORMAL
        self.since = NOW - 300
        self.date = NOW
        self.told = 0
        self.held: list[int] = []
        self.refused = ""
        self.deaf = 0
        self.on_hold: Callable[[], None] = lambda: None
        self._read = 0

    def news(self) -> Iterator[Binding]:
        """Yield what was written since."""
        while self._read < len(self.records):
            self._read += 1
            yield self.records[self._read - 1]

    def close(self) -> None:
        """End reading."""

    def failover(self) -> FailoverStatus:
        """Tell its states."""
        return replace(in_states(self.state, self.partner), since=self.since)

    def hold(self, addresses: Sequence[IPv4Address], until: int) -> Mapping[IPv4Address, str]:
        """Hold, and write that down."""
        self.on_hold()
        self.held += map(int, addresses)
        if self.deaf:
            self.deaf -= 1
        else:
            self.records += [Binding(int(address), LEASED, 0, until) for address in addresses]
        return dict.fromkeys(addresses, self.refused) if self.refused else {}

    def declare_partner_down(self) -> FailoverStatus:
        """Enter it."""
        self.told += 1
        self.state, self.since = DOWN, self.date
        return self.failover()


LEFT = Binding(7, Standing.FREE, 0, NOW - 60, left=NOW + 60)


def enter(server: Server, role: Role = Role.PRIMARY) -> Entered | None:
    log = cast("BindingLog", server)
    return enter_running(cast("Control", server), log, lambda: NOW + 0.9, hold=HOLD, role=role)


def test_what_the_partner_may_have_promised_is_held_and_nothing_else() -> None:
    server = Server(
        Binding(1, LEASED, 0, E - 1),
        Binding(2, ENDED, 0, 0),
        Binding(3, OTHER, 0, 0),
        Binding(4, LEASED, 0, E),
        Binding(5, ENDED, 0, 0),
        Binding(5, OTHER, 0, 0),
    )
    entered = enter(server)
    assert entered is not None
    assert (entered.problem, entered.failover) == ("", replace(in_states(DOWN, FailoverState.NORMAL), since=NOW))
    assert (sorted(server.held), server.told) == ([1, 2], 1)


def test_what_a_client_declined_is_held_where_the_partner_may_have_leased_it_again() -> None:
    unheard = Binding(1, Standing.OTHER, 0, 0, unheard=True)
    server = Server(
        unheard, unheard._replace(address=2, before=Role.PRIMARY), unheard._replace(address=3, unheard=False)
    )
    assert enter(server) is not None
    assert (server.held, server.told) == ([1], 1)


def test_what_came_meanwhile_is_held_too() -> None:
    server = Server(Binding(1, ENDED, 0, 0))

    def expire() -> None:
        server.on_hold = lambda: None
        server.records.append(Binding(2, ENDED, 0, 0))

    server.on_hold = expire
    assert enter(server) is not None
    assert server.held == [1, 2]


@pytest.mark.parametrize(
    ("binding", "fit"), [(LEFT, False), (LEFT._replace(left=NOW), True), (LEFT._replace(left=0), True)]
)
def test_what_was_left_to_the_partner_until_an_instant_to_come_is_leased_to_nobody(
    binding: Binding,
    fit: bool,  # noqa: FBT001  # a case
) -> None:
    """Its client would be the one before, and the partner may have given it to somebody since."""
    server = Server(binding)
    assert (enter(server) is not None) == fit
    assert (server.held, server.told) == ([], fit)


def test_what_the_server_itself_gives_meanwhile_is_its_own_promise() -> None:
    """However many clients renew, this has an end."""
    server = Server(Binding(1, ENDED, 0, 0), Binding(2, LEASED, NOW, E - 1, ours=True))

    def renew() -> None:
        server.records.append(Binding(3, LEASED, NOW, E - 1, ours=True))
        server.records.append(Binding(2, LEASED, NOW, E - 2, ours=True))

    server.on_hold = renew
    assert enter(server) is not None
    assert (server.held, server.told) == ([1, 2], 1)


@pytest.mark.parametrize(
    "binding",
    [
        Binding(2, LEASED, NOW - 1, E - 1, ours=True),
        Binding(2, LEASED, NOW, E - 1),
        Binding(2, ENDED, NOW, 0, ours=True),
        Binding(2, Standing.RELEASED, NOW, 0, ours=True),
    ],
)
def test_what_was_given_before_or_by_the_partner_or_is_over_is_no_promise_to_rely_on(binding: Binding) -> None:
    server = Server(Binding(1, ENDED, 0, 0))

    def write() -> None:
        server.on_hold = lambda: None
        server.records.append(binding)

    server.on_hold = write
    assert enter(server) is not None
    assert (server.held, server.told) == ([1, 2], 1)


def test_it_is_told_only_once_the_database_says_that_all_is_held() -> None:
    server = Server(Binding(1, ENDED, 0, 0))
    server.deaf = 1
    server.on_hold = lambda: None if not server.told else pytest.fail("held after the word")
    assert enter(server) is not None
    server = Server(Binding(1, ENDED, 0, 0))
    server.deaf = DEAF
    assert enter(server) is None
    assert server.told == 0


@pytest.mark.parametrize("state", set(FailoverState) - {INTERRUPTED})
def test_from_another_state_it_is_no_way(state: FailoverState) -> None:
    server = Server(Binding(1, ENDED, 0, 0))
    server.state = state
    entered = enter(server)
    assert entered is None or (entered.problem == "InContact" and state in IN_CONTACT)
    assert (server.held, server.told) == ([], 0)


@pytest.mark.parametrize("deaf", [0, DEAF])
@pytest.mark.parametrize("state", IN_CONTACT)
def test_a_partner_that_is_met_meanwhile_is_the_end_of_it(state: FailoverState, deaf: int) -> None:
    server = Server(Binding(1, ENDED, 0, 0))
    server.deaf = deaf
    server.on_hold = lambda: setattr(server, "state", state)
    entered = enter(server)
    assert entered is not None
    assert (entered.problem, server.told) == ("InContact", 0)


@pytest.mark.parametrize(
    "partner",
    [
        FailoverState.PARTNER_DOWN,
        FailoverState.POTENTIAL_CONFLICT,
        FailoverState.RESOLUTION_INTERRUPTED,
        FailoverState.CONFLICT_DONE,
    ],
)
def test_with_a_partner_state_that_silences_it_is_no_way(partner: FailoverState) -> None:
    server = Server()
    server.partner = partner
    assert enter(server) is None
    assert server.told == 0


@pytest.mark.parametrize("standing", [Standing.RELEASED, Standing.RESET])
def test_what_the_primary_may_have_given_away_is_leased_to_nobody(standing: Standing) -> None:
    server = Server(Binding(1, standing, 0, 0, told=True))
    assert enter(server, Role.SECONDARY) is None
    assert (server.held, server.told) == ([], 0)


def test_with_too_many_leases_it_is_no_way() -> None:
    server = Server(*(Binding(number, LEASED, 0, E - 1) for number in range(101)))
    assert enter(server) is None
    assert (server.held, server.told) == ([], 0)


def test_a_refusal_or_an_old_date_or_silence_is_no_success() -> None:
    server = Server(Binding(1, ENDED, 0, 0))
    server.refused = "no such object"
    assert enter(server) is None
    assert server.told == 0
    server = Server()
    server.date = NOW - 1
    assert enter(server) is None

    def fail() -> None:
        raise ControlError("no answer")

    server = Server(Binding(1, ENDED, 0, 0))
    server.on_hold = fail
    assert enter(server) is None
    assert server.told == 0
