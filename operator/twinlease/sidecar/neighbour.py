"""What the thread that talks to the partner's sidecar must know."""

from ipaddress import IPv4Address

from msgspec import UNSET

from twinlease.api.servinglease import Entry
from twinlease.decide.pairview import entry
from twinlease.model import durations
from twinlease.netlink.choose import Network
from twinlease.sidecar import orders
from twinlease.sidecar.board import Board
from twinlease.sidecar.peer import Place
from twinlease.sidecar.promises import Terms
from twinlease.sidecar.tenure import Standing

_NOBODY = -1
"""Epoch of the grant of a partner that is known to hold none."""


def longest_promises(partner: Entry) -> tuple[int, int]:
    """Return for how many seconds a partner may have been promised something, in good times and without the API.

    It asks for what it confirmed last, and may not have heard of what its grant says by now.
    """
    grant, confirmed = partner.grant, partner.own.in_force
    return (
        max(durations.seconds(grant.promise), durations.seconds(confirmed.promise)),
        max(durations.seconds(grant.max_promise), durations.seconds(confirmed.max_promise)),
    )


class Neighbour:
    """Keeps the peer's thread informed.

    Args:
        board: The snapshot.
    """

    def __init__(self, board: Board) -> None:
        self._board = board

    def tell(self) -> None:
        """Tell it how things are."""
        self._begin()
        peer = self._board.parts.peer
        place = self._place()
        peer.place = place
        peer.terms = self._terms("" if place is None else str(place.partner))

    def _begin(self) -> None:
        """Find out, once, what was promised before this process began."""
        now, parts = self._board.now, self._board.parts
        if parts.promises.known or not parts.durable.readable:
            return
        if parts.durable.found:
            parts.promises.begin(ever=True, short=0, long=0)
        elif now.confirmed is not None and now.lease is not None and now.role is not None:
            short, long = longest_promises(entry(now.lease.spec, now.role.other))
            parts.promises.begin(ever=bool(now.confirmed.incarnation), short=short, long=long)

    def _place(self) -> Place | None:
        now = self._board.now
        if now.desired is None or not isinstance(now.network, Network):
            return None
        spec = now.desired.object.spec
        if spec.partner is UNSET or not spec.partner.failover_address:
            return None
        partner = IPv4Address(spec.partner.failover_address)
        return Place(own=now.network.failover_address, partner=partner, port=spec.peer_port)

    def _terms(self, address: str) -> Terms:
        now = self._board.now
        role, tenure = now.role, now.tenure
        if role is None or not now.incarnation:
            return Terms()
        in_force = tenure.in_force
        partner, partner_epoch, lease_epoch = "", 0, 0
        if now.lease is not None:
            grant = entry(now.lease.spec, role.other).grant
            partner, partner_epoch = grant.holder, grant.epoch if grant.holder else _NOBODY
            lease_epoch = now.lease.spec.epoch
        revoked = now.standing in {Standing.REVOKED, Standing.NONE}
        return Terms(
            role=role,
            incarnation=now.incarnation,
            epoch=tenure.epoch,
            partner=partner,
            partner_epoch=partner_epoch,
            lease_epoch=lease_epoch,
            address=address,
            asks=now.unbroken and not tenure.given_up and not revoked and not now.hung,
            made=now.boot,
            promise=durations.seconds(in_force.promise),
            max_promise=durations.seconds(in_force.max_promise),
            refuses=orders.promises_nothing(now),
        )
