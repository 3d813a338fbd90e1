"""Events for humans: one for each condition that changes, made from the very condition, and never twice.

An Event's name is a hash of what it tells of, so that an operator that takes over cannot repeat one.
"""

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator

from msgspec import Struct

from twinlease.api.types import Condition
from twinlease.controller.objects import Meta
from twinlease.controller.steps import Once, Step
from twinlease.kube.protocol import EVENTS, PAIRS, RESERVATIONS, Json, Resource

_REPORTER = "twinlease.io/operator"
_MAX_NOTE = 1000
_WARNINGS = frozenset(
    {
        ("Valid", "False"),
        ("Available", "False"),
        ("Redundant", "False"),
        ("PartnerDown", "True"),
        ("KernelFence", "False"),
        ("LeaseDatabaseIntact", "False"),
        ("ClocksAgree", "False"),
    }
)
_QUIET = frozenset({"ComingUp", "Created", "NotNeeded", "NoGrant", "NoReport", "NotServing", "NotUsedYet"})
_WARNING_REASONS = frozenset(
    {
        "Rejected",
        "LinkChanged",
        "Refused",
        "Unreadable",
        "LedgerUnreadable",
        "LedgerLost",
        "Ordered",
        "Withdrawn",
        "WaitingForEvidence",
        "PartnerDownByHand",
        "NoSafeServer",
        "LeaseDatabaseLost",
        "LeaseDatabaseFound",
        "PolicyMissing",
        "WitnessRolledBack",
        "ClockSkew",
    }
)


class Announcer(Struct, frozen=True, kw_only=True):
    """Makes Events; ``instance`` names this operator, ``now`` is seconds since the epoch."""

    instance: str
    now: float

    def changes(
        self, resource: Resource, about: Meta, before: Iterable[Condition], after: Iterable[Condition]
    ) -> Iterator[Step]:
        """Yield one step for each condition whose status or reason has changed."""
        known = {each.type: each for each in before}
        for each in after:
            old = known.get(each.type)
            if each.status == "Unknown" or (old is not None and (old.status, old.reason) == (each.status, each.reason)):
                continue
            if _expected(resource, each, old):
                continue
            name = _name(about, each, old)
            body = self._event(resource, about, each, name)
            yield Once(resource=EVENTS, body=body, token=f"{about.namespace}/{name}")

    def warning(self, resource: Resource, about: Meta, reason: str, note: str) -> Step:
        """Return the step that tells of something that no condition is about; the same words only once."""
        said = Condition(type=reason, status="False", reason=reason, message=note, last_transition_time="")
        name = _name(about, said, None)
        body = {**self._event(resource, about, said, name), "type": "Warning"}
        return Once(resource=EVENTS, body=body, token=f"{about.namespace}/{name}")

    def _event(self, resource: Resource, about: Meta, condition: Condition, name: str) -> Json:
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": name, "namespace": about.namespace},
            "eventTime": dt.datetime.fromtimestamp(self.now, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": _REPORTER,
            "reportingInstance": self.instance,
            "action": condition.type,
            "reason": condition.reason,
            "type": "Warning" if _bad(condition) else "Normal",
            "note": (condition.message or f"{condition.type} is {condition.status}")[:_MAX_NOTE],
            "regarding": {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "namespace": about.namespace,
                "name": about.name,
                "uid": about.uid,
            },
        }


def _bad(condition: Condition) -> bool:
    if condition.reason in _QUIET:
        return False
    return (condition.type, condition.status) in _WARNINGS or condition.reason in _WARNING_REASONS


def _expected(resource: Resource, condition: Condition, before: Condition | None) -> bool:
    """Tell whether nobody wants an Event: a thousand reservations that work as they should would drown the rest."""
    if condition.reason in _QUIET:
        return True
    return resource != PAIRS and not _bad(condition) and (before is None or resource == RESERVATIONS)


def _name(about: Meta, now: Condition, before: Condition | None) -> str:
    since = "" if before is None else f"{before.status} {before.reason} {before.last_transition_time}"
    told = "\n".join((about.uid, now.type, now.status, now.reason, now.message, str(now.observed_generation), since))
    return f"{about.name[:200]}.{hashlib.sha256(told.encode()).hexdigest()[:16]}"
