"""The jig's LAN in two halves, each with a server and clients, and a cable between them that can be pulled."""

from ipaddress import IPv4Interface

from tests.lab.tap import Tap
from tests.net.jig import Jig

_HALVES = ("left", "right")


class SplitLan(Jig):
    """The primary and the machine `clients` are on the left, the secondary and another machine on the right."""

    def __init__(self, primary: IPv4Interface, secondary: IPv4Interface) -> None:
        super().__init__(primary, secondary)
        try:
            self._lan.ip(
                "link add br1 type bridge stp_state 0 forward_delay 0",
                "link set br1 up",
                "link add trunk0 type veth peer name trunk1",
                "link set trunk0 master br0",
                "link set trunk1 master br1",
                "link set trunk0 up",
                "link set trunk1 up",
                "link set secondary master br1",
            )
            self._far_clients = self._cable(self._stack, "far", None)
            self._lan.ip("link set far master br1")
        except BaseException:
            self._stack.close()
            raise

    def machines(self) -> list[Tap]:
        """Return where clients can be."""
        machines = (self.clients, self._far_clients)
        return [Tap(half, machine.path) for half, machine in zip(_HALVES, machines, strict=True)]

    def ports(self) -> list[Tap]:
        """Return where everything that clients see passes by."""
        return [Tap(half, self._lan.path, port) for half, port in zip(_HALVES, ("client", "far"), strict=True)]

    def split(self) -> None:
        """Pull the cable: clients and server of one half do not hear those of the other."""
        self._lan.ip("link set trunk0 down")

    def join(self) -> None:
        """Plug it in again."""
        self._lan.ip("link set trunk0 up")
