"""The kernel's part of the permit: answers leave the machine only while an element with a timeout says so.

Two hooks, for a DHCP server answers both by raw frames on its device and by UDP through any device. What the server's
user sends from port 67 is dropped unless UDP is in the set ``permit``. Whoever keeps the permit renews it; if it is
frozen or dies, the permit ends by itself. The table is ours alone (owner) and outlives us (persist), closed. Where
the kernel does not know that, the table is a plain one, which anybody may flush: then it is looked for at each renewal.
"""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol, TypeVar

from twinlease.guard import nft
from twinlease.guard.caps import Capability, raised
from twinlease.guard.nft import NFPROTO_INET, NFPROTO_NETDEV, Chain, Message, NftError
from twinlease.guard.selftest import SERVER_PORT, leaks
from twinlease.ipc.protocol import FenceSpec

PERIOD_SECONDS = 1.0
"""How long the kernel lets answers out without hearing from us."""

ARM_SECONDS = 0.3
"""How long after a look at the clock a permit may still be given: bounds how far it reaches beyond its deadline."""

TABLE = "twinlease"
_FAMILIES = (NFPROTO_NETDEV, NFPROTO_INET)
_UDP = bytes([nft.UDP])
_OWNED = nft.NFT_TABLE_F_OWNER | nft.NFT_TABLE_F_PERSIST
_PLAIN = "PlainTable"
_RAW_PRIORITY = -300
"""Before connection tracking, and before whatever else looks at packets."""


_T = TypeVar("_T")


class Proven(NamedTuple):
    """Whether the kernel keeps answers in, as tried; ``reason`` is CamelCase."""

    kernel: bool
    reason: str
    message: str


NOT_TRIED = Proven(kernel=False, reason="NotTried", message="no server has been started yet")


class FenceLostError(Exception):
    """The table is not there any more, or not ours.

    Attributes:
        cause: What the kernel refused, if it was the kernel.
    """

    def __init__(self, message: str, cause: NftError | None = None) -> None:
        super().__init__(message)
        self.cause = cause


class Wanted(NamedTuple):
    """What a fence is made from."""

    device: str
    uid: int
    spec: FenceSpec


class Kernel(Protocol):
    """What we need of ``nft.Nftables``."""

    def commit(self, messages: Sequence[Message]) -> None:
        """Do all of it or nothing; raises ``NftError``."""

    def rules(self, chain: Chain) -> int:
        """Return how many rules a chain has; raises ``NftError``."""

    def close(self) -> None:
        """Let go of what we own."""


class Fence:
    """Keeps the tables; one per network namespace.

    Args:
        connect: Returns a connection to the kernel; raises OSError where there is no nf_tables, or no right to it.
        self_test: Returns what gets out on a device, empty if nothing does.
        owned: Have tables that are ours alone, where the kernel can.
    """

    def __init__(
        self,
        connect: Callable[[], Kernel] = nft.Nftables,
        self_test: Callable[[str], str] = leaks,
        *,
        owned: bool = True,
    ) -> None:
        self._connect = connect
        self._self_test = self_test
        self._owned = owned
        self._nft: Kernel | None = None
        self._gates: tuple[Chain, ...] = ()
        self.proven = NOT_TRIED

    def prepare(self, device: str, uid: int, spec: FenceSpec) -> Proven:
        """Close the fence, made anew for a device and a user, and try whether it holds; blocks some milliseconds.

        Whatever goes wrong is told and no error: then nothing of ours stands in the way of the server's answers.
        """
        wanted = Wanted(device, uid, spec)
        self._gates = ()
        self.proven = self._tried(wanted)
        if self.proven.reason == _PLAIN:
            self._gates = _gates(device)
        return self.proven

    def check(self) -> None:
        """See that the gates are there. Nobody but us can touch tables that are ours: those are not looked at.

        Raises:
            FenceLostError: One is gone, or stands open.
        """
        for chain in self._gates:
            if self._ask(_rules_of(chain)) != 1:
                raise FenceLostError(f"the rule of chain {chain.name} is gone")

    def grant(self, left: Callable[[], float]) -> bool:
        """Let answers out for a period, or less if less is left; tell whether it was granted.

        Arm, check, fire: were we stopped between the look at the clock and what follows from it, the second batch
        would find the first one's element gone, and do nothing.

        Args:
            left: Seconds until the deadline, by the clock as it is then.

        Raises:
            FenceLostError: There is nothing to grant in.
        """
        nonce = os.urandom(4)
        self._commit([nft.add_element(NFPROTO_INET, TABLE, "arm", nonce, ARM_SECONDS)])
        seconds = min(PERIOD_SECONDS, left())
        if seconds < 0.001:  # noqa: PLR2004  # the kernel counts milliseconds
            return False
        disarm = nft.delete_element(NFPROTO_INET, TABLE, "arm", nonce)
        fire = [disarm]
        for family in _FAMILIES:
            fire += [
                nft.flush_set(family, TABLE, "permit"),  # an element that is there would keep its time
                nft.add_element(family, TABLE, "permit", _UDP, seconds),
            ]
        try:
            self._commit(fire)
        except FenceLostError as error:
            # It was armed a moment ago: somebody stopped us on the way.
            if error.cause and (error.cause.number, error.cause.what) == (errno.ENOENT, disarm.what):
                return False
            raise
        return True

    def flush(self) -> None:
        """Let nothing out from now on; harmless if the kernel does not fence.

        Raises:
            FenceLostError: There is nothing that would keep answers in.
        """
        if self.proven.kernel:
            self._commit([nft.flush_set(family, TABLE, "permit") for family in _FAMILIES])

    def remove(self) -> None:
        """Delete the tables, at a clean end; the server has ended."""
        if self._nft is None:
            return
        with raised(Capability.NET_ADMIN):
            for family in _FAMILIES:
                try:
                    self._nft.commit([nft.delete_table(family, TABLE)])
                except NftError:  # not there, or not ours
                    continue
        self._nft.close()
        self._nft = None
        self.proven = NOT_TRIED

    def _tried(self, wanted: Wanted) -> Proven:
        try:
            plain = self._make(wanted)
        except NftError as error:
            return self._without(wanted, error)
        except PermissionError:
            missing = "the guard has no CAP_NET_ADMIN; the server's ports are open to everybody"
            return _no("NoCapability", missing + self._muted(wanted.device))
        except OSError as error:
            return _no("NotSupported", f"the kernel has no nf_tables ({error.strerror}); the server's ports are open")
        found = self._self_test(wanted.device)
        if found:
            closed = self._ports_only(wanted)
            return _no("SelfTestFailed", f"{found} although user {wanted.uid} is fenced on {wanted.device}; {closed}")
        if plain:
            return Proven(True, _PLAIN, f"tried; {plain}: whoever flushes the ruleset ends it, and the server")  # noqa: FBT003  # a record's field
        return Proven(True, "Proven", f"tried: user {wanted.uid} gets nothing out on {wanted.device} without a permit")  # noqa: FBT003  # a record's field

    def _make(self, wanted: Wanted, *, egress: bool = True) -> str:
        """Make the tables, closed, in place of those that are there; return why they are plain, empty if they are not.

        Raises:
            NftError: The kernel refuses the last way too.
            OSError: There is no nf_tables.
        """
        with raised(Capability.NET_ADMIN):
            if self._nft is None:
                self._nft = self._connect()
            ways = [(_OWNED, _OWNED), (0, _OWNED), (0, 0)] if self._owned else [(0, 0)]
            for there, wish in ways:
                try:
                    self._nft.commit(list(_tables(wanted, there, wish, egress=egress)))
                except NftError as error:
                    if (there, wish) != (0, 0) and error.number in (errno.EOPNOTSUPP, errno.EINVAL):
                        continue
                    raise
                return "" if wish else "the kernel knows no tables with an owner that persist"
        raise AssertionError("the last way returns or raises")

    def _without(self, wanted: Wanted, error: NftError) -> Proven:
        """Tell why there is no fence."""
        if error.number == errno.EPERM and error.what:
            in_use = f"another process keeps the table {TABLE}: is a second guard on this machine?"
            return _no("TableInUse", in_use + self._muted(wanted.device))
        if error.number == errno.EPERM:
            refused = "the kernel refuses: CAP_NET_ADMIN does not count in this network namespace"
            return _no("NoCapability", refused + self._muted(wanted.device))
        return _no("NotSupported", f"the kernel refuses: {error}; {self._ports_only(wanted)}")

    def _muted(self, device: str) -> str:
        """Tell whether the server would be silent nevertheless: by tables that somebody else left or keeps."""
        return "" if self._self_test(device) else "; nothing gets out all the same: a fence that is not ours is closed"

    def _ports_only(self, wanted: Wanted) -> str:
        """Have the ports closed at least, and nothing of ours in the way of answers; say how that went."""
        try:
            self._make(wanted, egress=False)
        except (NftError, OSError) as error:
            self.remove()
            return f"the server's ports are open, {error}"
        return "the server's ports are closed"

    def _commit(self, messages: Sequence[Message]) -> None:
        self._ask(lambda kernel: kernel.commit(messages))

    def _ask(self, question: Callable[[Kernel], _T]) -> _T:
        if self._nft is None:
            raise FenceLostError("no table was made")
        try:
            with raised(Capability.NET_ADMIN):
                return question(self._nft)
        except NftError as error:
            raise FenceLostError(str(error), error) from error
        except OSError as error:
            raise FenceLostError(f"netlink: {error.strerror}") from error


def _rules_of(chain: Chain) -> Callable[[Kernel], int]:
    return lambda kernel: kernel.rules(chain)


def _no(reason: str, message: str) -> Proven:
    return Proven(kernel=False, reason=reason, message=message)


def _tables(wanted: Wanted, there: int, wish: int, *, egress: bool) -> Iterator[Message]:
    """Yield a batch that replaces tables with flags ``there``, if there are any, by some with flags ``wish``."""
    raw, udp = _gates(wanted.device)
    for family in _FAMILIES:
        # The first makes sure that there is one to delete, and takes over one that outlived its keeper.
        yield nft.new_table(family, TABLE, there)
        yield nft.delete_table(family, TABLE)
    if egress:
        yield nft.new_table(NFPROTO_NETDEV, TABLE, wish)
        yield from _gate(raw, wanted.uid)
    yield nft.new_table(NFPROTO_INET, TABLE, wish)
    if egress:
        yield nft.new_set(NFPROTO_INET, TABLE, "arm", (nft.KEY_MARK, 4))
        yield from _gate(udp, wanted.uid)
    yield from _ports(Chain(NFPROTO_INET, TABLE, "in", nft.NF_INET_LOCAL_IN, _RAW_PRIORITY), wanted.spec)


def _gates(device: str) -> tuple[Chain, Chain]:
    """Return the chains that raw frames on the device and UDP packets pass."""
    return (
        Chain(NFPROTO_NETDEV, TABLE, "out", nft.NF_NETDEV_EGRESS, 0, device),
        Chain(NFPROTO_INET, TABLE, "out", nft.NF_INET_LOCAL_OUT, _RAW_PRIORITY),
    )


def _gate(chain: Chain, uid: int) -> Iterator[Message]:
    """Yield what keeps in answers without a permit."""
    yield nft.new_set(chain.family, TABLE, "permit", (nft.KEY_PROTOCOL, 1))
    yield nft.new_chain(chain)
    yield nft.new_rule(
        chain,
        nft.protocol(nft.UDP),
        nft.source_port(SERVER_PORT),
        nft.socket_user(uid),
        nft.protocol_not_in("permit"),
        nft.counter(),
        nft.verdict(nft.NF_DROP),
    )


def _ports(chain: Chain, spec: FenceSpec) -> Iterator[Message]:
    """Yield what closes the ports: to all but this machine, or this machine and the partner."""
    yield nft.new_chain(chain)
    yield nft.new_rule(chain, nft.input_device("lo"), nft.verdict(nft.NF_ACCEPT))
    only_partner = (nft.not_from(spec.partner),) if spec.partner else ()
    for protocol, port, but in (
        (nft.TCP, spec.omapi_port, ()),
        (nft.TCP, spec.failover_port, only_partner),
        (nft.UDP, spec.peer_port, only_partner),
    ):
        if port:
            matches = (nft.protocol(protocol), nft.destination_port(port), *but)
            yield nft.new_rule(chain, *matches, nft.verdict(nft.NF_DROP))
