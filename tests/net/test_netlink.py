"""The kernel's view of a network namespace, and its changes."""

import threading
import time
from collections.abc import Iterator

import pytest

from tests.lab.waiting import until
from tests.net.jig import Namespace
from twinlease.netlink.rtnl import RouteNetlink


@pytest.fixture
def node() -> Iterator[Namespace]:
    """A namespace with two cables of which one has addresses, and a link."""
    namespace = Namespace()
    namespace.ip(
        "link add eth0 type veth peer name far0",
        "link add eth1 type veth peer name far1",
        "address add 10.1.0.2/24 dev eth0",
        "address add 10.1.0.3/24 dev eth0",
        "address add 10.2.0.1/32 dev lo",
        "link set eth0 up",
        "link set far0 up",
    )
    yield namespace
    namespace.close()


@pytest.fixture
def links(node: Namespace) -> Iterator[RouteNetlink]:
    """Netlink in that namespace."""
    with node.entered():
        opened = RouteNetlink()
    yield opened
    opened.close()


def test_addresses_flags_and_links_are_read(links: RouteNetlink) -> None:
    found = {link.name: link for link in links.read("eth1")}
    assert set(found) == {"lo", "eth0", "eth1"}
    assert [(str(had.address), had.secondary) for had in found["eth0"].addresses] == [
        ("10.1.0.2/24", False),
        ("10.1.0.3/24", True),
    ]
    assert [str(had.address) for had in found["lo"].addresses] == ["10.2.0.1/32"]
    assert found["eth1"].addresses == ()
    assert (found["eth0"].up, found["eth1"].up) == (True, False)


def test_an_interface_that_is_not_there_is_not_read(links: RouteNetlink) -> None:
    assert {link.name for link in links.read("eth7")} == {"lo", "eth0"}
    assert {link.name for link in links.read(None)} == {"lo", "eth0"}


def test_a_point_to_point_links_own_end_is_its_address(node: Namespace, links: RouteNetlink) -> None:
    node.ip("address add 10.4.0.1 peer 10.4.0.2 dev eth1")
    found = {link.name: link for link in links.read(None)}
    assert [str(had.address) for had in found["eth1"].addresses] == ["10.4.0.1/32"]


def test_a_list_that_comes_in_many_messages_is_read_to_its_end(node: Namespace, links: RouteNetlink) -> None:
    node.ip(*(f"address add 10.9.{number // 250}.{number % 250 + 1}/32 dev eth1" for number in range(1000)))
    found = {link.name: link for link in links.read("eth1")}
    assert set(found) == {"lo", "eth0", "eth1"}
    assert len({had.address for had in found["eth1"].addresses}) == 1000


@pytest.mark.parametrize(
    "change",
    [
        "link set far0 down",
        "address del 10.1.0.3/24 dev eth0",
        "address add 10.1.0.9/24 dev eth0",
        "link del eth0",
        "address add 10.3.0.1/24 dev eth1",
    ],
)
def test_a_change_wakes_the_waiter(links: RouteNetlink, node: Namespace, change: str) -> None:
    woken = threading.Event()

    def wait() -> None:
        links.wait()
        woken.set()

    def settled() -> bool:
        """Tell whether it wakes nobody any more that the carriers came up a moment ago."""
        woken.clear()
        threading.Thread(target=wait, daemon=True).start()
        return not woken.wait(0.2)

    until("nothing changes", settled, timeout=5)
    before = links.read("eth1")
    node.ip(change)
    began = time.monotonic()
    assert woken.wait(1)
    assert time.monotonic() - began < 0.5
    assert links.read("eth1") != before
