"""The snapshot that every decision of the sidecar is made from."""

from enum import StrEnum

from msgspec import Struct, convert, field

from twinlease.api.server import PoolUsage, ServerSpec, ServerStatus
from twinlease.api.servinglease import DatabaseVerdict, Grant, InForce, Own, ServingLeaseSpec
from twinlease.api.types import Model
from twinlease.decide.clocks import SETTLE_SECONDS, Agreement
from twinlease.decide.pairview import CLOCK_STEPPED, entry
from twinlease.decide.permit import Promiser
from twinlease.engines.protocol import FailoverStatus, Watermark
from twinlease.ipc.client import GuardStatus
from twinlease.kube.protocol import Json
from twinlease.model import durations
from twinlease.model.states import FailoverState, Role
from twinlease.netlink.choose import Network, NetworkProblem
from twinlease.sidecar.database import Found
from twinlease.sidecar.interruption import Interruption
from twinlease.sidecar.keeper import Held
from twinlease.sidecar.peer import Heard
from twinlease.sidecar.tenure import Standing, Tenure, standing

ANNOTATION_ESTABLISHED = "twinlease.io/established"
"""On a DHCPServer: the operator has seen the pair serve together. Its name is the operator's."""

CAUGHT_UP = frozenset({FailoverState.RECOVER_WAIT, FailoverState.RECOVER_DONE})
"""A returning server in these states asks its partner for nothing any more."""


class Owner(Model, frozen=True, kw_only=True):
    """What an object belongs to."""

    uid: str = ""


class Metadata(Model, frozen=True, kw_only=True):
    """What the sidecar needs of an object's metadata."""

    name: str
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    annotations: dict[str, str] = field(default_factory=dict)
    owner_references: tuple[Owner, ...] = ()


class ServerObject(Model, frozen=True, kw_only=True):
    """This server's DHCPServer as the API has it."""

    metadata: Metadata
    spec: ServerSpec
    status: ServerStatus = ServerStatus()


def server_object(found: Json) -> ServerObject:
    """Return the typed object.

    Raises:
        msgspec.ValidationError: It is none; the message says where.
    """
    return convert(found, ServerObject)


class LeaseObject(Struct, frozen=True, kw_only=True):
    """The pair's DHCPServingLease as the API has it; ``raw`` is what it was read as."""

    metadata: Metadata
    spec: ServingLeaseSpec
    raw: Json


def lease_object(found: Json) -> LeaseObject:
    """Return the typed object.

    Raises:
        msgspec.ValidationError: It is none; the message says where.
    """
    metadata = convert(found.get("metadata"), Metadata)
    return LeaseObject(metadata=metadata, spec=convert(found.get("spec"), ServingLeaseSpec), raw=found)


class LastLease(Struct, frozen=True, kw_only=True):
    """What counts of the serving lease as last read, beyond the process that read it, while the API is away.

    Attributes:
        epoch: Its epoch; 0: it was never read in this pod.
        survivor: Whom it names as the survivor; empty: nobody.
        longest: The longest lease that the partner may have given to anybody, seconds; 0: that is not known.
    """

    epoch: int = 0
    survivor: str = ""
    longest: int = 0


class Desired(Struct, frozen=True, kw_only=True):
    """What the operator wants.

    Attributes:
        cached: Known from an earlier time only: the API does not answer, so nothing new may follow from it.
    """

    object: ServerObject
    cached: bool = False

    @property
    def pair(self) -> str:
        """UID of the pair that the server belongs to; empty: not known."""
        return next((each.uid for each in self.object.metadata.owner_references), "")


class Verdict(StrEnum):
    """What is known of a wanted configuration."""

    ACCEPTED = "Accepted"
    """It is in the candidates' directory and the server's own parser takes it."""
    REJECTED = "Rejected"
    """The server's own parser refuses it."""
    FAILED = "Failed"
    """The parser took it, but the server did not stay alive with it."""
    DIGEST_MISMATCH = "DigestMismatch"
    """The ConfigMaps hold another text than the revision says."""
    UNREADABLE = "Unreadable"
    """The ConfigMaps cannot be read, or the check gave no verdict; worth another try."""


CLOCKS_DIFFER = "ClocksDiffer"
"""Our reason to stop and to give a grant back: the partner's wall clock was measured to be another."""

HUNG_SECONDS = 5.0
"""After so long without an answer a server hangs: in a write that does not end, or stopped by somebody. It answers its
control port and its clients from one thread; a start with 100,000 leases takes it 0.5 s (measured)."""


class Candidate(Struct, frozen=True, kw_only=True):
    """A wanted configuration and what became of it."""

    revision: str
    verdict: Verdict
    message: str = ""


class Failure(Struct, frozen=True, kw_only=True):
    """The last attempt to start the server, if it failed; ``code`` is the guard's."""

    code: str
    message: str


class Observed(Struct, frozen=True, kw_only=True):
    """Everything at one moment.

    Attributes:
        desired: None until the DHCPServer was read once.
        network: None until netlink answered and the spec is known.
        served_index: Index of the interface on which the running server was started; 0 if that is not known.
        guard: None while nobody answers on its socket.
        guard_problem: Why ``guard`` is None, or empty.
        failover: The server's answer; None while it gives none.
        answered: ``failover`` is from just now; else it is the last there was.
        dumb_since: Since when the running server has given no answer (CLOCK_BOOTTIME); None: it answers, or none runs.
        candidate: Of the wanted revision only.
        failure: Of the last start.
        may_fetch: No pause after failures to fetch is running.
        may_start: No pause after failures to start is running.
        pools: Addresses by binding state, counted now and then.
        unacked_updates: The server's answer at the moment when the pools were counted: it changes all the time.
        engine_version: Of the server's program; empty if it cannot be told.
        boot: CLOCK_BOOTTIME of this look, seconds.
        wall: The wall clock at this look, seconds since the epoch.
        token: The guard's, for the pod's life; empty until it was asked once.
        lease: None until the serving lease was read once.
        remembered: What the last process of this pod that read the serving lease knew of it.
        tenure: The grant that was taken up last.
        held: The permit.
        claims: The API says, or may come to say, that the kernel fences this server.
        found: The lease database and the record beside it.
        verdict: What the lease database is.
        reach: How far the leases reach; None: not known.
        interruption: The present one, or the last.
        promiser: What is promised to the partner.
        heard: The partner's sidecar.
        ready_since: Since when nothing but a grant was missing for a start; None: more is missing.
        stepped: When the server was started during whose life the wall clock stepped forward; 0: none.
        behind: When the server was started that was cut off from its partner after it had caught up; 0: none was.
        misled: Epoch of the grant under which the wall clock stepped in contact with the partner, or while nothing ran.
        step: By how much the wall clock stepped last, seconds; 0: it has not.
        clocks: Whether the partner's wall clock and ours agree.
        unmeasured_since: Since when that is not known though the partner could be asked (CLOCK_BOOTTIME); None: it is.
        stopping: The sidecar is asked to end.
        gone: The guard has ended and left word that the daemon is dead: the pod ends.
    """

    desired: Desired | None = None
    network: Network | NetworkProblem | None = None
    served_index: int = 0
    guard: GuardStatus | None = None
    guard_problem: str = ""
    failover: FailoverStatus | None = None
    answered: bool = False
    dumb_since: float | None = None
    candidate: Candidate | None = None
    failure: Failure | None = None
    may_fetch: bool = True
    may_start: bool = True
    pools: tuple[PoolUsage, ...] = ()
    unacked_updates: int = 0
    engine_version: str = ""
    boot: float = 0.0
    wall: float = 0.0
    pod_uid: str = ""
    node: str = ""
    token: str = ""
    lease: LeaseObject | None = None
    remembered: LastLease = LastLease()
    tenure: Tenure = Tenure()
    held: Held = Held()
    claims: bool = False
    found: Found = Found()
    verdict: DatabaseVerdict = DatabaseVerdict.UNKNOWN
    reach: Watermark | None = None
    interruption: Interruption = Interruption()
    promiser: Promiser = Promiser()
    heard: Heard = Heard()
    ready_since: float | None = None
    stepped: float = 0.0
    behind: float = 0.0
    misled: int = 0
    step: float = 0.0
    clocks: Agreement = Agreement()
    unmeasured_since: float | None = None
    stopping: bool = False
    gone: bool = False

    @property
    def running(self) -> bool:
        """Whether the server's process exists, as far as is known."""
        return self.guard is not None and self.guard.running

    @property
    def hung(self) -> bool:
        """Whether the server's process exists and has been dumb for so long that clients get nothing from it either.

        Nobody vouches for it then: its permit runs out, and the partner may take over.
        """
        return self.running and self.dumb_since is not None and self.boot - self.dumb_since > HUNG_SECONDS

    @property
    def measured(self) -> bool:
        """Whether a start need not wait any longer for a measurement of the partner's clock."""
        return self.unmeasured_since is None or self.boot - self.unmeasured_since > SETTLE_SECONDS

    @property
    def wrong_clock(self) -> str:
        """Why nothing is started any more under the grant that was taken up, CamelCase; empty: no clock is in the way.

        Another grant is asked for instead, for that is where both clocks are judged.
        """
        if not self.tenure.epoch:
            return ""
        last = self.guard.last_exit if self.guard is not None and not self.running else None
        killed = self.tenure.begun and last is not None and last.reason == CLOCK_STEPPED
        if killed or self.misled == self.tenure.epoch:
            return CLOCK_STEPPED
        return CLOCKS_DIFFER if self.tenure.begun and self.clocks.differ else ""

    @property
    def wanted_revision(self) -> str:
        """Revision that the operator wants; empty if it wants none yet."""
        if self.desired is None or not self.desired.object.spec.config:
            return ""
        return self.desired.object.spec.config.revision

    @property
    def role(self) -> Role | None:
        """This server's role; None until the DHCPServer was read once."""
        return Role(self.desired.object.spec.role) if self.desired is not None else None

    @property
    def incarnation(self) -> str:
        """This pod's life, as grants name it; empty until the guard has told its token."""
        return f"{self.pod_uid}/{self.token}" if self.token else ""

    @property
    def grant(self) -> Grant | None:
        """The operator's part of this server's entry; None until it was read once."""
        return None if self.lease is None or self.role is None else entry(self.lease.spec, self.role).grant

    @property
    def confirmed(self) -> Own | None:
        """This server's own part, as the API has it; None until it was read once."""
        return None if self.lease is None or self.role is None else entry(self.lease.spec, self.role).own

    @property
    def last_lease(self) -> LastLease:
        """The serving lease as last read, be it by an earlier process."""
        if self.lease is None:
            return self.remembered
        spec = self.lease.spec
        return LastLease(epoch=spec.epoch, survivor=spec.survivor, longest=durations.seconds(spec.max_lease.duration))

    @property
    def longest(self) -> int:
        """The longest lease that the partner may have given to anybody, seconds; 0: that is not known."""
        return self.last_lease.longest

    @property
    def rolled_back(self) -> bool:
        """Whether the disk knows a higher epoch than the API: an older copy of the API was restored."""
        return self.lease is not None and self.lease.spec.epoch < self.found.record.epoch

    @property
    def standing(self) -> Standing:
        """What the serving lease says about this incarnation; one of an older time says nothing."""
        if self.rolled_back:
            return Standing.UNKNOWN
        return standing(self.tenure, self.grant, self.incarnation)

    @property
    def in_force(self) -> InForce:
        """What this incarnation confirmed last, as the API has it; nothing: it confirmed nothing."""
        own = self.confirmed
        return own.in_force if own is not None and own.incarnation == self.incarnation else InForce()

    @property
    def state(self) -> FailoverState:
        """The daemon's own state; ``UNKNOWN`` while it does not run or gives no answer."""
        return self.failover.local if self.running and self.failover is not None else FailoverState.UNKNOWN

    @property
    def unbroken(self) -> bool:
        """Whether the grant that was taken up may still be used: its permit held throughout."""
        return bool(self.tenure.epoch) and self.held.epoch == self.tenure.epoch and not self.held.broken
