"""Control over a session that the test plays."""

from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address

import pytest

from twinlease.engines.isc.control import IscControl
from twinlease.engines.protocol import ControlError, FailoverStatus
from twinlease.model.states import FailoverState

ATTRIBUTES = {
    "local-state": (3).to_bytes(4, "big"),
    "partner-state": (254).to_bytes(4, "big"),
    "local-stos": (1_795_276_891).to_bytes(4, "big"),
    "partner-stos": (1_795_276_892).to_bytes(4, "big"),
    "mclt": (1800).to_bytes(4, "big"),
    "cur-unacked-updates": (7).to_bytes(4, "big"),
    "name": b"lan",
}


class Dhcpd:
    """Plays dhcpd: hands out sessions, and answers or fails."""

    def __init__(self, answers: list[Mapping[str, bytes] | ControlError | None]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str]] = []
        self.written: list[tuple[str, str, Mapping[str, bytes]]] = []
        self.open = 0
        self.connections = 0

    def connect(self) -> "Dhcpd":
        """Open a session."""
        self.open += 1
        self.connections += 1
        return self

    def lookup(self, kind: str, name: str) -> Mapping[str, bytes] | None:
        """Play the next answer."""
        self.asked.append((kind, name))
        answer = self.answers.pop(0)
        if isinstance(answer, ControlError):
            raise answer
        return answer

    def update(self, kind: str, name: str, attributes: Mapping[str, bytes]) -> None:
        """Note what is written."""
        self.written.append((kind, name, dict(attributes)))

    def change_each(
        self,
        kind: str,
        key: str,
        values: Sequence[bytes],
        change: Callable[[Mapping[str, bytes]], Sequence[Mapping[str, bytes]]],
    ) -> list[str]:
        """Play the next answer for each."""
        problems = []
        wanted: list[tuple[str, str, Mapping[str, bytes]]] = []
        for value in values:
            found = self.lookup(kind, f"{key} {IPv4Address(value)}")
            problems.append("" if found else "error 23 no object")
            if found:
                wanted += [(kind, str(IPv4Address(value)), each) for each in change({**found, key: value})]
        self.written += wanted
        return problems

    def close(self) -> None:
        """End the session."""
        self.open -= 1


def test_one_lookup_tells_all() -> None:
    dhcpd = Dhcpd([ATTRIBUTES])
    assert IscControl(dhcpd.connect, "lan").failover() == FailoverStatus(
        local=FailoverState.COMMUNICATIONS_INTERRUPTED,
        partner=FailoverState.RECOVER_WAIT,
        since=1_795_276_891,
        partner_since=1_795_276_892,
        mclt=1800,
        unacked_updates=7,
    )
    assert dhcpd.asked == [("failover-state", "lan")]


def test_nothing_is_opened_before_the_first_call_and_one_session_serves_many() -> None:
    dhcpd = Dhcpd([ATTRIBUTES] * 3)
    control = IscControl(dhcpd.connect, "lan")
    assert dhcpd.connections == 0
    for _ in range(3):
        control.failover()
    assert dhcpd.connections == 1
    control.close()
    assert dhcpd.open == 0


def test_an_error_ends_the_session_and_the_next_call_makes_a_new_one() -> None:
    dhcpd = Dhcpd([ATTRIBUTES, ControlError("lost"), ATTRIBUTES])
    control = IscControl(dhcpd.connect, "lan")
    control.failover()
    with pytest.raises(ControlError, match="lost"):
        control.failover()
    assert dhcpd.open == 0
    assert control.failover().mclt == 1800
    assert dhcpd.connections == 2


def test_a_server_without_the_relationship_is_an_error() -> None:
    dhcpd = Dhcpd([None, ATTRIBUTES])
    control = IscControl(dhcpd.connect, "lan")
    with pytest.raises(ControlError, match="no failover peer 'lan'"):
        control.failover()
    assert control.failover().mclt == 1800
    assert dhcpd.connections == 1  # the session is sound


@pytest.mark.parametrize("missing", sorted(set(ATTRIBUTES) - {"name"}))
def test_a_missing_attribute_is_an_error(missing: str) -> None:
    attributes = {name: value for name, value in ATTRIBUTES.items() if name != missing}
    with pytest.raises(ControlError, match=f"no {missing}"):
        IscControl(Dhcpd([attributes]).connect, "lan").failover()


def test_closing_what_was_never_opened_is_harmless() -> None:
    IscControl(Dhcpd([]).connect, "lan").close()


def in_state(number: int) -> Mapping[str, bytes]:
    return ATTRIBUTES | {"local-state": number.to_bytes(4, "big")}


def test_partner_down_ends_a_startup_once_and_is_read_back() -> None:
    dhcpd = Dhcpd([in_state(1), in_state(4)])
    assert IscControl(dhcpd.connect, "lan").enter_partner_down().local is FailoverState.PARTNER_DOWN
    assert dhcpd.written == [("failover-state", "lan", {"local-state": b"\0\0\0\4"})]


def test_partner_down_is_not_begun_anew() -> None:
    dhcpd = Dhcpd([in_state(4)])
    assert IscControl(dhcpd.connect, "lan").enter_partner_down().local is FailoverState.PARTNER_DOWN
    assert dhcpd.written == []


@pytest.mark.parametrize("number", [0, 2, 3, 5, 6, 7, 8, 9, 10, 11, 99, 254])
def test_partner_down_is_entered_from_startup_only(number: int) -> None:
    dhcpd = Dhcpd([in_state(number)])
    with pytest.raises(ControlError, match="entered from Startup only"):
        IscControl(dhcpd.connect, "lan").enter_partner_down()
    assert dhcpd.written == []


def test_partner_down_that_was_not_taken_is_an_error() -> None:
    dhcpd = Dhcpd([in_state(1), in_state(1)])
    with pytest.raises(ControlError, match="was told to enter partner-down, and is in Startup"):
        IscControl(dhcpd.connect, "lan").enter_partner_down()
    assert len(dhcpd.written) == 1


def in_binding(state: int, ends: int) -> Mapping[str, bytes]:
    return {"state": state.to_bytes(4, "big"), "ends": ends.to_bytes(4, "big"), "starts": (800).to_bytes(4, "big")}


@pytest.mark.parametrize(
    ("state", "ends", "written"),
    [(2, 900, 1000), (2, 1000, None), (2, 1001, None), (3, 900, 1000), (4, 1200, 1200), (5, 9000, 9000), (6, 0, 1000)]
    + [(state, 900, None) for state in (1, 7)],
)
def test_what_may_be_somebodys_is_held_and_never_shortened(state: int, ends: int, written: int | None) -> None:
    dhcpd = Dhcpd([in_binding(state, ends)])
    assert IscControl(dhcpd.connect, "lan").hold([IPv4Address("10.0.0.1")], 1000) == {}
    assert dhcpd.asked == [("lease", "ip-address 10.0.0.1")]
    wanted = (
        [] if written is None else [("lease", "10.0.0.1", {"ends": written.to_bytes(4, "big"), "state": b"\0\0\0\2"})]
    )
    assert dhcpd.written == wanted
    assert all(list(attributes) == ["ends", "state"] for _, _, attributes in dhcpd.written)  # dhcpd heeds the order


@pytest.mark.parametrize("state", [7, 3, 4])
def test_what_is_left_to_the_partner_was_released_until_then_and_is_the_partners_again(state: int) -> None:
    mine, freed, given, declined = (in_binding(state, 900) for state in (state, 1, 2, 5))
    dhcpd = Dhcpd([mine, in_state(3), in_binding(7, 900), freed, given, declined])
    addresses = [IPv4Address(f"10.0.0.{number}") for number in (1, 2, 3, 4)]
    assert IscControl(dhcpd.connect, "lan").leave(addresses, 1000) == {}
    released = {"ends": (1000).to_bytes(4, "big"), "state": b"\0\0\0\4"}
    again = {"state": b"\0\0\0\7", "ends": (800).to_bytes(4, "big")}
    assert dhcpd.written == [("lease", "10.0.0.1", released), ("lease", "10.0.0.1", again)]
    # dhcpd heeds the order.
    assert [list(attributes) for _, _, attributes in dhcpd.written] == [["ends", "state"], ["state", "ends"]]


def test_before_what_is_left_as_many_are_told_as_it_takes_to_keep_that_back() -> None:
    mine, freed, given = (in_binding(state, 900) for state in (7, 1, 2))
    beside = [IPv4Address(f"10.0.1.{number}") for number in range(20)]
    looked = [freed, mine, *[given] * 5, None, freed, mine, freed, *[freed] * 5]
    expired = in_binding(3, 900)
    dhcpd = Dhcpd([*looked, freed, given, freed, mine, in_state(3), freed, given, expired, mine])
    assert IscControl(dhcpd.connect, "lan").leave([IPv4Address("10.0.0.1")], 1000, beside=iter(beside)) == {}
    again = {"ends": (900).to_bytes(4, "big")}  # as they are; one has been given meanwhile
    leased = {"ends": (1000).to_bytes(4, "big"), "state": b"\0\0\0\2"}
    told = [("lease", "10.0.1.0", again), ("lease", "10.0.1.8", leased), ("lease", "10.0.1.10", again)]
    assert dhcpd.written[:3] == told
    assert [name for _, name, _ in dhcpd.written[3:5]] == ["10.0.0.1", "10.0.0.1"]
    # A client got it between the look and the word, which ended its lease.
    assert dhcpd.written[5:] == [("lease", "10.0.1.10", leased)]
    assert not dhcpd.answers  # nobody was asked of the last four


@pytest.mark.parametrize(("ends", "until"), [(900, 1000), (1100, 1100)])
def test_where_too_few_are_free_what_is_leased_is_held_before(ends: int, until: int) -> None:
    mine, freed, given, over = (in_binding(state, ends) for state in (7, 1, 2, 3))
    beside = [IPv4Address(f"10.0.1.{number}") for number in range(6)]
    looked = [over, given, mine, given, freed, given]
    dhcpd = Dhcpd([*looked, freed, given, given, mine, in_state(3), freed, given, given, mine])
    assert IscControl(dhcpd.connect, "lan").leave([IPv4Address("10.0.0.1")], 1000, beside=beside) == {}
    leased = {"ends": until.to_bytes(4, "big"), "state": b"\0\0\0\2"}
    told = [("10.0.1.4", {"ends": ends.to_bytes(4, "big")}), ("10.0.1.1", leased), ("10.0.1.3", leased)]
    assert [(name, attributes) for _, name, attributes in dhcpd.written[:3]] == told
    assert [name for _, name, _ in dhcpd.written[3:]] == ["10.0.0.1", "10.0.0.1"]


@pytest.mark.parametrize(("state", "starts", "made_good"), [(7, 801, True), (7, 800, False), (2, 801, False)])
def test_a_lease_of_the_partners_that_was_undone_meanwhile_is_made_good(
    state: int, starts: int, *, made_good: bool
) -> None:
    after = {**in_binding(state, 800), "starts": starts.to_bytes(4, "big")}
    dhcpd = Dhcpd([in_binding(7, 900), in_state(3), after])
    assert IscControl(dhcpd.connect, "lan").leave([IPv4Address("10.0.0.1")], 1000) == {}
    leased = {"ends": (1000).to_bytes(4, "big"), "state": b"\0\0\0\2"}
    assert dhcpd.written[2:] == ([("lease", "10.0.0.1", leased)] if made_good else [])


def test_what_cannot_be_left_is_told() -> None:
    dhcpd = Dhcpd([None, in_binding(7, 0), in_state(3), in_binding(7, 0)])
    addresses = [IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")]
    assert IscControl(dhcpd.connect, "lan").leave(addresses, 1000) == {addresses[0]: "error 23 no object"}
    assert [name for _, name, _ in dhcpd.written] == ["10.0.0.2", "10.0.0.2"]


@pytest.mark.parametrize(
    ("state", "client", "written"),
    [(2, b"", True), (3, b"", True), (2, b"\2", False), (1, b"", False), (5, b"", False)],
)
def test_what_was_nobodys_is_retired(state: int, client: bytes, *, written: bool) -> None:
    dhcpd = Dhcpd([{**in_binding(state, 900), "hardware-address": client}])
    assert IscControl(dhcpd.connect, "lan").retire([IPv4Address("10.0.0.1")]) == {}
    assert dhcpd.written == ([("lease", "10.0.0.1", {"state": b"\0\0\0\5"})] if written else [])


@pytest.mark.parametrize("state", range(1, 8))
def test_what_is_over_is_taken_and_said_to_be_over_once_more(state: int) -> None:
    address = IPv4Address("10.0.0.1")
    dhcpd = Dhcpd([in_binding(state, 900)] * 2)
    assert IscControl(dhcpd.connect, "lan").take([address]) == {}
    assert dhcpd.written == ([("lease", "10.0.0.1", {"state": b"\0\0\0\6"})] if state in {3, 4} else [])
    dhcpd.written.clear()
    assert IscControl(dhcpd.connect, "lan").expire([address]) == {}
    assert dhcpd.written == ([("lease", "10.0.0.1", {"state": b"\0\0\0\3"})] if state == 6 else [])


@pytest.mark.parametrize("state", range(1, 8))
def test_what_was_left_to_the_partner_is_told_once_more(state: int) -> None:
    dhcpd = Dhcpd([in_binding(state, 900)])
    assert IscControl(dhcpd.connect, "lan").repeat([IPv4Address("10.0.0.1")]) == {}
    assert dhcpd.written == ([("lease", "10.0.0.1", {"ends": (900).to_bytes(4, "big")})] if state == 7 else [])


@pytest.mark.parametrize("number", [1, 2, 4, 5, 6, 254])
def test_who_is_not_cut_off_leaves_nothing_anew(number: int) -> None:
    """The partner would hear that it was released, and end what it has given."""
    dhcpd = Dhcpd([in_binding(7, 0), in_state(number)])
    with pytest.raises(ControlError, match="nothing is told anew"):
        IscControl(dhcpd.connect, "lan").leave([IPv4Address("10.0.0.1")], 1000)
    assert dhcpd.written == []


def test_what_cannot_be_held_is_told_and_keeps_nothing_else_from_it() -> None:
    dhcpd = Dhcpd([None, in_binding(4, 0)])
    addresses = [IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")]
    assert IscControl(dhcpd.connect, "lan").hold(addresses, 1000) == {addresses[0]: "error 23 no object"}
    assert [name for _, name, _ in dhcpd.written] == ["10.0.0.2"]


def test_a_server_that_is_cut_off_is_told_partner_down_once_and_no_other_is() -> None:
    dhcpd = Dhcpd([in_state(3), in_state(4), in_state(4), in_state(1)])
    control = IscControl(dhcpd.connect, "lan")
    assert control.declare_partner_down().local is FailoverState.PARTNER_DOWN
    assert control.declare_partner_down().local is FailoverState.PARTNER_DOWN
    with pytest.raises(ControlError, match="from CommunicationsInterrupted only"):
        control.declare_partner_down()
    assert dhcpd.written == [("failover-state", "lan", {"local-state": b"\0\0\0\4"})]
