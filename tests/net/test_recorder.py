"""The recorder on a real wire: what it sees, and that it owns up to what it lost."""

from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from tests.lab import wire
from tests.lab.dhcp import Kind
from tests.lab.observed import HistoryError
from tests.lab.recorder import Recorder
from tests.lab.tap import RawSocket, Tap
from tests.lab.waiting import until
from tests.net.jig import Namespace

MAC = bytes.fromhex("0a0000000001")


@pytest.fixture
def tap() -> Iterator[Tap]:
    """One end of a cable whose other end nobody holds."""
    namespace = Namespace()
    namespace.ip("link add eth0 type veth peer name eth1", "link set eth0 up", "link set eth1 up")
    yield Tap("left", namespace.path)
    namespace.close()


def frame(xid: int, kind: Kind = Kind.DISCOVER) -> bytes:
    """Return a client's message."""
    return wire.client_frame(wire.Packet(kind, xid, MAC, source_mac=MAC))


def test_both_directions_are_seen_in_order_and_nothing_else(tap: Tap) -> None:
    other_end = Tap("left", tap.namespace, "eth1")
    answer = wire.Packet(
        Kind.ACK, 2, MAC, yiaddr="10.0.0.9", source="10.0.0.1", target="10.0.0.9", target_mac=b"\6" * 6
    )
    near, far = RawSocket(tap, outgoing=False, arp=True), RawSocket(other_end, outgoing=False, arp=True)
    with Recorder([tap]) as recorder:
        near.send(frame(1))
        far.send(wire.server_frame(answer))  # to a hardware address that is not the interface's
        question = wire.ArpRequest(MAC, "10.0.0.1", "10.0.0.9")
        far.send(wire.arp_reply(question, MAC))
        far.send(frame(3)[:30])
        near.send(frame(4, Kind.RELEASE))
        until("three messages", lambda: len(recorder.so_far()) >= 3, timeout=5)
        recording = recorder.stop().whole()
    near.close()
    far.close()
    assert [(seen.kind, seen.xid) for seen in recording.observations] == [("DISCOVER", 1), ("ACK", 2), ("RELEASE", 4)]
    times = [recording.began, *(seen.time for seen in recording.observations), recording.ended]
    assert times == sorted(times)
    assert IPv4Address(recording.observations[1].yiaddr) == IPv4Address("10.0.0.9")


def test_what_the_kernel_had_no_room_for_spoils_the_history(tap: Tap) -> None:
    recorder = Recorder([tap])  # not entered: nobody reads yet
    flood = RawSocket(tap, outgoing=False, arp=False)
    sent = sum(flood.send(frame(xid)) for xid in range(60_000))
    flood.close()
    with recorder:
        pass
    recording = recorder.stop()
    assert recording.dropped > 0
    assert len(recording.observations) + recording.dropped == sent
    with pytest.raises(HistoryError, match="messages were lost"):
        recording.whole()


def test_memory_is_bounded_and_what_is_beyond_spoils_the_history(tap: Tap) -> None:
    flood = RawSocket(tap, outgoing=False, arp=False)
    with Recorder([tap], most=3) as recorder:
        for xid in range(5):
            flood.send(frame(xid))
        until("three messages", lambda: len(recorder.so_far()) >= 3, timeout=5)
    flood.close()
    assert (len(recorder.stop().observations), recorder.stop().dropped) == (3, 2)
