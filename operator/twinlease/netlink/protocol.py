"""The seam to the kernel's view of the network."""

from typing import Protocol

from twinlease.netlink.choose import Interface


class NetlinkError(Exception):
    """The kernel could not be asked; trying again may help."""


class Links(Protocol):
    """Reads interfaces and waits for changes. Blocking: use it from a thread of its own."""

    def read(self, name: str | None) -> tuple[Interface, ...]:
        """Return the interfaces that have IPv4 addresses outside 127.0.0.0/8, and the one of that name even without.

        Raises:
            NetlinkError: No answer.
        """

    def wait(self) -> None:
        """Return when an interface or an address may have changed since the last call of ``read`` or ``wait``.

        Raises:
            NetlinkError: Changes can no longer be seen.
        """

    def close(self) -> None:
        """Let go of the sockets."""
