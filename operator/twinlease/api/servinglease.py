"""``DHCPServingLease``: who of a pair may serve, who is revoked, and the order to enter partner-down.

One per pair, of the same name. Made and changed by the operator, by compare-and-swap of the whole object: a decision is
one write. Each sidecar patches ``spec.servers.ROLE.own`` and nothing else. No status subresource, for what a decision
needs must change in one write with it. The rules that it keeps are in ``docs/safety.md``.
"""

from enum import StrEnum
from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from twinlease.api.permit import Isolation
from twinlease.api.rules import is_duration, rule, text, validations
from twinlease.api.types import Duration, Model, described


class Phase(StrEnum):
    """How the two servers stand to each other."""

    BOTH = "Both"
    """Either may serve."""
    ALONE = "Alone"
    """The survivor was ordered into partner-down, the other is revoked."""
    RETURNING = "Returning"
    """The other is back and takes over the survivor's leases; it serves when both are normal."""


class Start(StrEnum):
    """How a server begins to serve on a grant."""

    FRESH = "Fresh"
    """Both, once, on empty lease databases."""
    RESUME = "Resume"
    """On its own leases as they are: it stopped in contact with its partner."""
    RECOVER = "Recover"
    """It takes everything from the survivor before it serves."""
    SURVIVE = "Survive"
    """In partner-down, with everything that it holds extended beyond what its partner may have promised."""


class Answer(StrEnum):
    """What became of an order."""

    EXECUTED = "Executed"
    REFUSED = "Refused"
    UNKNOWN = "Unknown"
    """The server cannot tell, its disk being lost; counts as executed."""


class Evidence(StrEnum):
    """Why a server counts as stopped."""

    NONE = "None"
    """It does not."""
    NO_HOLDER = "NoHolder"
    """Nobody holds its grant."""
    NEVER_CONFIRMED = "NeverConfirmed"
    """The grant was never confirmed, and cannot be once this is decided."""
    RELEASED = "Released"
    """Its sidecar gave the grant back after its guard had seen the daemon dead."""
    PROVEN_STOPPED = "ProvenStopped"
    """Another incarnation asks from the same node, and finds no daemon of ours there."""
    EXPIRED = "Expired"
    """It did not renew for so long that its permit has ended, which the kernel enforces; promises have ended too."""
    OUT_OF_SERVICE = "OutOfService"
    """An administrator tainted its node node.kubernetes.io/out-of-service."""
    CONFIRMED = "Confirmed"
    """A human confirmed that it is dead."""


class DatabaseVerdict(StrEnum):
    """What a lease database is, compared with what was confirmed of it."""

    UNKNOWN = "Unknown"
    """Not looked at yet, or unreadable."""
    VIRGIN = "Virgin"
    """Never used, and nothing was ever confirmed."""
    SPENT = "Spent"
    """Of somebody else, without a lease that still runs: as good as virgin once emptied."""
    INTACT = "Intact"
    """The one that was confirmed, as far as that goes."""
    LOST = "Lost"
    """Gone."""
    STALE = "Stale"
    """An older state of the one that was confirmed."""
    SHORT = "Short"
    """The one that was confirmed, but leases that it held are missing."""
    FOREIGN = "Foreign"
    """Of somebody else (another server, or an earlier pair), with leases that still run."""


Date: TypeAlias = Annotated[
    str, Meta(max_length=20, pattern="^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?$")
]
"""RFC 3339, UTC, whole seconds; or empty, which the schema's own format would refuse."""


class Bound(Model, frozen=True, kw_only=True):
    """A duration that may be raised at once and lowered only when nothing that was promised under it still runs."""

    duration: Annotated[Duration, described("In force.")] = "0s"
    until: Annotated[
        Date, described("From then on a lower value may take its place; empty: none waits.", default="")
    ] = ""


class Watched(Model, frozen=True, kw_only=True):
    """What the operator saw when it first heard of an interruption: evidence that was there before is not evidence."""

    interruption: Annotated[int, described("Number of the interruption that this is about; 0: none yet.")] = 0
    tainted: Annotated[bool, described("The partner's node was out of service then already.")] = False


class Grant(Model, frozen=True, kw_only=True):
    """The operator's part of a server's entry."""

    holder: Annotated[str, Meta(max_length=128), described("Incarnation that may serve; empty: none.", default="")] = ""
    node: Annotated[str, Meta(max_length=63), described("Node of the holder; empty: none.", default="")] = ""
    epoch: Annotated[int, described("Epoch of this grant.")] = 0
    start: Annotated[Start, described("How the holder begins to serve.")] = Start.RESUME
    duration: Annotated[Duration, described("How long it may answer on one renewal.")] = "4m"
    promise: Annotated[Duration, described("What its partner promises in good times.")] = "4m"
    max_promise: Annotated[Duration, described("What its partner promises while the API is out of reach.")] = "30m"
    isolation: Annotated[Isolation, described("Fence: it stops when nothing permits it to go on. Serve: never.")] = (
        Isolation.FENCE
    )
    watched: Watched = Watched()


class InForce(Model, frozen=True, kw_only=True):
    """What the holder confirmed and goes by: this counts, not what the grant says meanwhile."""

    epoch: Annotated[int, described("Epoch of the grant that it serves under; 0: none.")] = 0
    duration: Annotated[Duration, described("It answers for no longer than this after a renewal.")] = "0s"
    promise: Annotated[Duration, described("It asks its partner for promises of this length in good times.")] = "0s"
    max_promise: Annotated[Duration, described("The length of promise that it asks for while the API is away.")] = "0s"
    isolation: Annotated[Isolation, described("Fence: it stops when nothing permits it to go on. Serve: never.")] = (
        Isolation.FENCE
    )
    kernel_fence: Annotated[bool, described("The kernel's part of the fence was proven at this start.")] = False


class Report(Model, frozen=True, kw_only=True):
    """The server as its sidecar saw it when it last wrote."""

    state: Annotated[str, described("Failover state; Unknown: the daemon does not run or gives no answer.")] = "Unknown"
    partner_state: Annotated[str, described("Its partner's failover state as it knows it.")] = "Unknown"
    since: Annotated[int, described("Start time of state, seconds since 1970, by the daemon's clock.")] = 0
    serving: Annotated[bool, described("It answers dynamic clients.")] = False
    mclt: Annotated[Duration, described("MCLT in force.")] = "0s"
    interruption: Annotated[int, described("Number of the present unbroken interruption; 0: none.")] = 0
    interrupted_millis: Annotated[int, described("Age of the interruption when this was sent, by boot clock.")] = 0
    promising: Annotated[bool, described("A promise to the partner not to enter partner-down may still run.")] = False
    promise_seconds: Annotated[int, described("For how long a promise may still run at most.")] = 0
    config: Annotated[
        str, Meta(max_length=64), described("Revision of the configuration that runs; empty: none.", default="")
    ] = ""


class Lineage(Model, frozen=True, kw_only=True):
    """Identity of the lease database as last confirmed."""

    id: Annotated[
        str, Meta(max_length=64), described("Random id kept beside the leases; empty: none confirmed.", default="")
    ] = ""
    counter: Annotated[int, described("Raised with each confirmed write, on the disk first.")] = 0
    newest: Annotated[int, described("Time of the latest transaction in it, seconds since 1970.")] = 0
    address: Annotated[
        str, Meta(max_length=15), described("Address that the latest transaction is about.", default="")
    ] = ""
    confirmed: Annotated[Date, described("When this was written; empty: never.", default="")] = ""


class Database(Model, frozen=True, kw_only=True):
    """The lease database as the asking sidecar found it."""

    verdict: Annotated[DatabaseVerdict, described("What it is, compared with the lineage as last confirmed.")] = (
        DatabaseVerdict.UNKNOWN
    )
    state: Annotated[str, described("Failover state that the database records.")] = "Unknown"
    held: Annotated[int, described("Leases in it that still run.")] = 0
    message: Annotated[str, Meta(max_length=512), described("Why, for people.", default="")] = ""


class Asks(Model, frozen=True, kw_only=True):
    """The server does not run and asks for a grant."""

    incarnation: Annotated[str, Meta(max_length=128), described("Who asks; the same as incarnation beside it.")]
    reason: Annotated[str, Meta(max_length=64), described("Why it needs one.", default="")] = ""
    stopped: Annotated[bool, described("Its guard finds no daemon of ours on the node: proof of stop.")] = False
    ready: Annotated[bool, described("It could start at once: network and configuration are there.")] = False
    waiting_millis: Annotated[int, described("For how long it was ready when this was sent, by its boot clock.")] = 0
    skew_millis: Annotated[
        int, described("The partner's wall clock minus its own, where they were measured to differ; 0: they were not.")
    ] = 0


class Answered(Model, frozen=True, kw_only=True):
    """What became of the last order."""

    epoch: Annotated[int, described("Epoch of the order that this answers; 0: none.")] = 0
    result: Annotated[Answer, described("Executed, Refused, or Unknown, which counts as executed.")] = Answer.UNKNOWN
    reason: Annotated[str, Meta(max_length=64), described("Why, in one word.", default="")] = ""


class Own(Model, frozen=True, kw_only=True):
    """The server's own part, written by its sidecar, in one patch each time."""

    incarnation: Annotated[
        str, Meta(max_length=128), described("Who wrote this, POD-UID/TOKEN; empty: nobody yet.", default="")
    ] = ""
    node: Annotated[str, Meta(max_length=63), described("Node on which it runs.", default="")] = ""
    renewal: Annotated[int, described("Number of this write by this incarnation.")] = 0
    epoch: Annotated[int, described("Highest epoch that it ever saw, also on its disk.")] = 0
    in_force: InForce = InForce()
    report: Report = Report()
    lineage: Lineage = Lineage()
    database: Database = Database()
    asks: Asks | UnsetType = UNSET
    released: Annotated[int, described("Epoch of the grant that it gave back; 0: none.")] = 0
    answer: Answered = Answered()


class Entry(Model, frozen=True, kw_only=True):
    """One server."""

    grant: Annotated[Grant, described("The operator's part.")] = Grant()
    own: Annotated[Own, described("The server's own part.")] = Own()


class Entries(Model, frozen=True, kw_only=True):
    """Both servers."""

    primary: Entry = Entry()
    secondary: Entry = Entry()


class Order(Model, frozen=True, kw_only=True):
    """The order to the survivor to enter partner-down."""

    epoch: Annotated[int, Meta(ge=1), described("The epoch that revoked its partner.")]
    interruption: Annotated[int, described("The survivor's interruption that it is about.")] = 0
    evidence: Annotated[Evidence, described("Why the partner counts as stopped.")]


_RISES = "self.epoch > oldSelf.epoch"


def _rule(expression: str, message: str, path: str, found: str, *values: str) -> dict[str, str]:
    """Return a rule whose message ends with what was found: a CEL format and its values.

    Not ``rules.rule(value=...)``: the API server takes a number as text for endless, and refuses to concatenate it.
    """
    built = rule(expression, message, path=path)
    built["messageExpression"] = f"{text(f'{message}; found {found}')}.format([{', '.join(values)}])"
    return built


def _entry_rules(role: str) -> tuple[dict[str, str], ...]:
    grant, old = f"self.servers.{role}.grant", f"oldSelf.servers.{role}.grant"
    path = f".servers.{role}.grant"
    epochs = (f"{grant}.epoch", "self.epoch", "oldSelf.epoch")
    return (
        _rule(
            f"{grant}.holder == {old}.holder || ({_RISES} && ({grant}.holder == '' || {grant}.epoch == self.epoch))",
            "changes with a rise of spec.epoch only, and a new holder's grant.epoch is that",
            f"{path}.holder",
            '"%s" after "%s", with grant.epoch %d and spec.epoch %d after %d',
            f"{grant}.holder",
            f"{old}.holder",
            *epochs,
        ),
        _rule(
            f"{grant}.epoch == {old}.epoch || ({_RISES} && {grant}.epoch == self.epoch)",
            "changes with a rise of spec.epoch only, and to its value",
            f"{path}.epoch",
            "%d after %d, with spec.epoch %d after %d",
            f"{grant}.epoch",
            f"{old}.epoch",
            *epochs[1:],
        ),
    )


def _bound_rule(field: str) -> dict[str, str]:
    new, old = f"self.{field}.duration", f"oldSelf.{field}.duration"
    return _rule(
        f"!({is_duration(new)} && {is_duration(old)}) || duration({new}) >= duration({old}) || "
        f"oldSelf.{field}.until != ''",
        "falls only after its date was set",
        f".{field}.duration",
        "%s after %s",
        new,
        old,
    )


SERVING_LEASE_RULES = validations(
    _rule("self.epoch >= oldSelf.epoch", "must not fall", ".epoch", "%d after %d", "self.epoch", "oldSelf.epoch"),
    _rule(
        "self.established || !oldSelf.established",
        "must not become false again",
        ".established",
        "%s after %s",
        "self.established",
        "oldSelf.established",
    ),
    _rule(
        f"!has(self.order) || (has(oldSelf.order) && self.order == oldSelf.order) || "
        f"({_RISES} && self.order.epoch == self.epoch)",
        "must name the epoch with which it is given, and cannot change later",
        ".order",
        "order.epoch %d with spec.epoch %d after %d",
        "self.order.epoch",
        "self.epoch",
        "oldSelf.epoch",
    ),
    _bound_rule("maxLease"),
    _bound_rule("mclt"),
    *_entry_rules("primary"),
    *_entry_rules("secondary"),
)


class ServingLeaseSpec(Model, frozen=True, kw_only=True, omit_defaults=False):
    """What was decided about a pair's service, and what each server confirmed of it."""

    epoch: Annotated[int, described("Raised by every grant and every revocation.")] = 0
    phase: Annotated[Phase, described("How the two stand to each other.")] = Phase.BOTH
    survivor: Annotated[
        str,
        Meta(extra_json_schema={"enum": ["", "primary", "secondary"]}),
        described("Who serves alone; empty: nobody.", default=""),
    ] = ""
    order: Annotated[Order, described("The last order; unset: none since both were normal.")] | UnsetType = UNSET
    established: Annotated[bool, described("Both have been normal together, once.")] = False
    max_lease: Annotated[Bound, described("Longest lease that any client may hold.")] = Bound()
    mclt: Annotated[Bound, described("Maximum client lead time that either server may go by.")] = Bound()
    servers: Annotated[Entries, described("The two servers.")] = Entries()
