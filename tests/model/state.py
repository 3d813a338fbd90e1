"""What a state consists of. Times are ticks relative to now, so that equal situations are equal states.

Abstractions:

- Clients: whoever may answer does answer, whatever a client could ask.
- Lease databases: what matters is whether one lacks leases that may still run (``owed``), and whether it holds leases
  that the partner was not told of (``news``).
- Renewal numbers and lineage counters only ever grow; here a write that changes nothing else resets the sights.
"""

from typing import NamedTuple

from twinlease.api.servinglease import Answered, Grant, Order, Phase
from twinlease.decide.pairview import Policy
from twinlease.decide.permit import Permit, Promiser
from twinlease.model.states import Role

D, ALONE, PROMISE, MAX_PROMISE, AFTER = 3, 8, 3, 7, 5
"""Ticks: permit of a renewal, the same for a survivor alone, short and long promise, T."""
MCLT, LEASE = 2, 4
"""Ticks: maximum client lead time, longest lease."""
K = 1
"""Ticks by which an answer may be later than the permit's deadline: the production code's margin must cover it."""
NEVER_SEEN, FORGET = 99, 10
"""Age of a part whose arrival nobody saw; the age from which on older makes no difference."""

POLICY = Policy(after=AFTER, duration=D, alone=ALONE, promise=PROMISE, max_promise=MAX_PROMISE)
NOW = 1_000_000.0


class Record(NamedTuple):
    """What a sidecar keeps on its disk, beside the leases."""

    epoch: int = 0
    """Highest epoch that it ever saw."""
    consumed: int = 0
    answered: Answered = Answered()
    long: bool = False
    """A long promise may be outstanding."""
    number: int = 0
    """Of the present interruption."""
    kept: bool = True
    """False: the disk was lost or rolled back, the record with it."""


class Seen(NamedTuple):
    """A server's latest look at the serving lease; it may be long ago."""

    epoch: int = 0
    phase: Phase = Phase.BOTH
    survivor: str = ""
    order: Order | None = None
    grant: Grant = Grant()
    former: Grant = Grant()
    """The grant before (for the rule that a start is granted together with its mode)."""


class Patch(NamedTuple):
    """A write on its way to the API, or its reply on the way back."""

    age: int
    """Since it was sent, by the sender's clock."""
    own: object
    """The part that it writes."""
    holder: str
    epoch: int
    duration: int
    overtaken: bool = False
    """A later write of the same sidecar arrived before it."""
    applied: bool = False


class Server(NamedTuple):
    """One server with its node."""

    # the node
    power: bool = True
    frozen: bool = False
    fast: int = 0
    """Ticks by which the node's clock is ahead."""
    # the pod
    incarnation: int = 1
    sidecar: bool = True
    permit: Permit = Permit()
    """The sidecar's account; times relative to now."""
    promiser: Promiser = Promiser()
    seen: Seen = Seen()
    patch: Patch | None = None
    # the guard, the kernel's fence and the daemon
    daemon: str = "off"
    """off, startup, normal, ci, pd, recover"""
    left: int = 0
    """Ticks until the permit's deadline, as the guard has it; an answer may be ``K`` later."""
    grant: int = 0
    """Epoch of the grant that it goes by; 0: none."""
    over: int = 0
    """Epoch of the last grant that it gave up."""
    proven: bool = False
    """This start proved the kernel's fence."""
    ghost: int = 0
    """Ticks for which a daemon of a former pod still runs beside this one; 0: there is none."""
    revived: bool = False
    """The daemon's permit had lapsed, and it was given another."""
    regress: bool = False
    """The daemon was started on leases from a time without contact: its next contact overwrites the partner's."""
    # the disk
    database: str = "virgin"
    """virgin, intact, stale, lost, emptied (and not filled by the partner yet)"""
    recorded: str = "virgin"
    """The failover state in the lease file."""
    record: Record = Record()
    # history
    age: int = 0
    """Of the interruption, ticks."""
    news: bool = False
    """It served without contact: its partner does not know everything that it gave."""
    owed: int = 0
    """Ticks for which leases may run that its database does not show and that it would give away at once."""
    hollow: bool = False
    """Its database lost leases: whatever is given now, it does not know either."""


class Sight(NamedTuple):
    """What the operator knows of one server by its own clock."""

    age: int = 0
    silent: int = 0
    gone: int = 0
    tainted: bool = False
    confirmed: int = 0
    """Epoch with which a human confirmed it dead; 0: nobody did."""
    maintenance: bool = False


class Operator(NamedTuple):
    """The leader, and another that still takes itself for one."""

    primary: Sight = Sight()
    secondary: Sight = Sight()
    unseen: tuple[bool, bool] = (False, False)
    """The watch has not delivered the server's last write yet."""
    prepared: int | None = None
    """What the other one decided and has not written yet (a serving lease, by number)."""

    def sight(self, role: Role) -> Sight:
        """Return what it knows of a server."""
        return self.primary if role is Role.PRIMARY else self.secondary

    def with_sight(self, role: Role, sight: Sight) -> "Operator":
        """Return it with another sight of a server."""
        return self._replace(primary=sight) if role is Role.PRIMARY else self._replace(secondary=sight)


class Letter(NamedTuple):
    """A message of the promise channel on its way."""

    to: Role
    age: int
    """Since the question was sent, by the asker's clock."""
    length: int
    long: bool
    renounce: bool = False
    answer: bool = False
    stale: bool = False
    """A later question was answered already, or the asked one has another session by now."""


class Net(NamedTuple):
    """What is between the servers, and the faults that are left."""

    linked: bool = True
    letters: tuple[Letter, ...] = ()
    faults: int = 0
    slow: int = 0
    """Letters and patches that may still be delayed."""
