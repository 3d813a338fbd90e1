"""The snapshot that every decision of the sidecar is made from."""

from enum import StrEnum

from msgspec import Struct, convert, field

from twinlease.api.server import PoolUsage, ServerSpec, ServerStatus
from twinlease.api.types import Model
from twinlease.engines.protocol import FailoverStatus
from twinlease.ipc.client import GuardStatus
from twinlease.kube.protocol import Json
from twinlease.netlink.choose import Network, NetworkProblem

ANNOTATION_ESTABLISHED = "twinlease.io/established"
"""On a DHCPServer: the operator has seen the pair serve together. Its name is the operator's."""


class Metadata(Model, frozen=True, kw_only=True):
    """What the sidecar needs of an object's metadata."""

    name: str
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    annotations: dict[str, str] = field(default_factory=dict)


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


class Desired(Struct, frozen=True, kw_only=True):
    """What the operator wants.

    Attributes:
        cached: Known from an earlier time only: the API does not answer, so nothing new may follow from it.
    """

    object: ServerObject
    cached: bool = False


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
        candidate: Of the wanted revision only.
        failure: Of the last start.
        may_fetch: No pause after failures to fetch is running.
        may_start: No pause after failures to start is running.
        pools: Addresses by binding state, counted now and then.
        unacked_updates: The server's answer at the moment when the pools were counted: it changes all the time.
        engine_version: Of the server's program; empty if it cannot be told.
    """

    desired: Desired | None = None
    network: Network | NetworkProblem | None = None
    served_index: int = 0
    guard: GuardStatus | None = None
    guard_problem: str = ""
    failover: FailoverStatus | None = None
    answered: bool = False
    candidate: Candidate | None = None
    failure: Failure | None = None
    may_fetch: bool = True
    may_start: bool = True
    pools: tuple[PoolUsage, ...] = ()
    unacked_updates: int = 0
    engine_version: str = ""

    @property
    def running(self) -> bool:
        """Whether the server's process exists, as far as is known."""
        return self.guard is not None and self.guard.running

    @property
    def wanted_revision(self) -> str:
        """Revision that the operator wants; empty if it wants none yet."""
        if self.desired is None or not self.desired.object.spec.config:
            return ""
        return self.desired.object.spec.config.revision
