"""The snapshot that the operator decides about a pair's service from, and how it is changed. Pure."""

from collections.abc import Mapping

from msgspec import UNSET, Struct
from msgspec.structs import replace

from twinlease.api.permit import Fence, Isolation, PartnerDownMode
from twinlease.api.servinglease import Entries, Entry, Grant, Own, ServingLeaseSpec
from twinlease.decide.permit import ASKING_PERIOD, epsilon, period
from twinlease.model import durations
from twinlease.model.states import FailoverState, Role

CLOCK_STEPPED = "ClockStepped"
"""Why a server asks that was stopped because its wall clock stepped in contact with its partner."""

_LATE = 1.0
_PERIODS = 2


class Policy(Struct, frozen=True, kw_only=True):
    """What the user wants, in seconds.

    Attributes:
        after: T, how long one unbroken interruption must have lasted.
        duration: D, how long a server may answer on one renewal.
        alone: The same for a survivor alone.
        promise: What the partner promises in good times.
        max_promise: The same while the API is out of reach.
        guarded: The admission policy that keeps each sidecar to its own part is in force.
    """

    mode: PartnerDownMode = PartnerDownMode.AUTOMATIC
    after: float = 300.0
    isolation: Isolation = Isolation.FENCE
    fence: Fence = Fence.KERNEL
    duration: float = 240.0
    alone: float = 3600.0
    promise: float = 240.0
    max_promise: float = 1800.0
    guarded: bool = True


class Sight(Struct, frozen=True, kw_only=True):
    """What this operator has seen of one server, on its own monotonic clock.

    Attributes:
        age: Seconds since it saw the server's last write arrive; infinite: it has seen none arrive.
        silent: Seconds for which it has held the server's part as it is now: it renewed earlier than that, or never.
        gone: Seconds for which it has held, without a break, evidence that the server is stopped; 0: it holds none.
        waiting: Seconds for which it has been the only one of the two that has shown up at all.
        tainted: The server's node is out of service now.
        confirmed: A human confirms that it is dead, with its name and the present epoch.
        maintenance: The user asks for it to be stopped.
        adopt: A human adopts the lease database that was found on its disk.
        discard: A human gives up the lease database that was found on its disk.
    """

    age: float = float("inf")
    silent: float = 0.0
    gone: float = 0.0
    waiting: float = 0.0
    tainted: bool = False
    confirmed: bool = False
    maintenance: bool = False
    adopt: bool = False
    discard: bool = False


class View(Struct, frozen=True, kw_only=True):
    """One pair at one moment.

    Attributes:
        now: Wall clock, seconds since the epoch; for the dates in the object only.
        rolled_back: Seconds for which the servers have been seen to remember a higher epoch than the API.
        give_up: A human acknowledges, with the present epoch, that both lease databases are lost.
    """

    lease: ServingLeaseSpec
    sights: Mapping[Role, Sight]
    policy: Policy
    now: float
    rolled_back: float = 0.0
    give_up: bool = False

    @property
    def forgotten(self) -> int:
        """Highest epoch that a server remembers and the API does not; 0: there is none."""
        highest = max(self.own(role).epoch for role in Role)
        return highest if highest > self.lease.epoch else 0

    def entry(self, role: Role) -> Entry:
        """Return a server's entry."""
        return entry(self.lease, role)

    def grant(self, role: Role) -> Grant:
        """Return the operator's part of it."""
        return self.entry(role).grant

    def own(self, role: Role) -> Own:
        """Return the server's own part of it."""
        return self.entry(role).own

    def state(self, role: Role) -> FailoverState:
        """Return the failover state that a server last reported, also if that was long ago."""
        return _state(self.own(role).report.state)

    def recorded(self, role: Role) -> FailoverState:
        """Return the failover state that an asking server's database records."""
        return _state(self.own(role).database.state)

    def resumable(self, role: Role) -> bool:
        """Tell whether an asking server stopped in contact with its partner, and by a clock that both could go by."""
        asks = self.own(role).asks
        misled = asks is not UNSET and asks.reason == CLOCK_STEPPED
        return self.recorded(role) is FailoverState.NORMAL and not misled

    def fresh(self, role: Role) -> bool:
        """Tell whether a server's part is at most two renewal periods old."""
        return self.fresh_for(role) >= 0

    def heard(self, role: Role) -> bool:
        """Tell whether the holder of a server's grant is alive; a successor on another node does not speak for it."""
        grant, own = self.grant(role), self.own(role)
        speaks = own.incarnation == grant.holder or own.node == grant.node or not grant.holder
        return self.fresh(role) and speaks

    def fresh_for(self, role: Role) -> float:
        """Return for how many seconds more a server's part is fresh; negative: it is not."""
        return self._lateness(role) - self.sights[role].age

    def late(self, role: Role) -> bool:
        """Tell whether a server should have written by now; who has just begun to look does not know."""
        return self.sights[role].silent > self._lateness(role)

    def confirmed(self, role: Role) -> bool:
        """Tell whether a server has confirmed the grant that it holds: it serves, or may."""
        grant, own = self.grant(role), self.own(role)
        return bool(grant.holder) and own.incarnation == grant.holder and own.in_force.epoch == grant.epoch

    def asks(self, role: Role) -> bool:
        """Tell whether a server asks for a grant now, and has not got it."""
        grant, asks = self.grant(role), self.own(role).asks
        if asks is UNSET or not self.fresh(role):
            return False
        return grant.holder != asks.incarnation or self.released(role)

    def released(self, role: Role) -> bool:
        """Tell whether the holder gave its grant back."""
        grant, own = self.grant(role), self.own(role)
        return bool(grant.holder) and own.incarnation == grant.holder and own.released == grant.epoch

    def expiry(self, role: Role) -> float:
        """Return after how many seconds without a renewal a server's permit has ended for sure."""
        length = durations.seconds(self.own(role).in_force.duration)
        return length + epsilon(length)

    def _lateness(self, role: Role) -> float:
        in_force = self.own(role).in_force
        length = durations.seconds(in_force.duration) or self.policy.duration
        often = period(length) if in_force.epoch else ASKING_PERIOD
        return _PERIODS * often + _LATE

    def change(self, lease: ServingLeaseSpec) -> "View":
        """Return the view of a lease that this decision has changed."""
        return replace(self, lease=lease)


def entry(lease: ServingLeaseSpec, role: Role) -> Entry:
    """Return a server's entry."""
    return lease.servers.primary if role is Role.PRIMARY else lease.servers.secondary


def with_grant(lease: ServingLeaseSpec, role: Role, grant: Grant) -> ServingLeaseSpec:
    """Return the lease with another operator's part."""
    changed = replace(entry(lease, role), grant=grant)
    primary, secondary = lease.servers.primary, lease.servers.secondary
    if role is Role.PRIMARY:
        primary = changed
    else:
        secondary = changed
    return replace(lease, servers=Entries(primary=primary, secondary=secondary))


def _state(text: str) -> FailoverState:
    try:
        return FailoverState(text)
    except ValueError:
        return FailoverState.UNKNOWN
