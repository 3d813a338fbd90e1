"""Whether the API server keeps each sidecar to its own part of the serving lease: asked now and then, remembered.

What it should do is said once, in ``manifests/admission.yaml`` beside the objects that we make; the file of that name
that users apply is a copy of it.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable
from functools import cache
from importlib import resources

import yaml

from twinlease.kube.client import NOT_FOUND, Client
from twinlease.kube.protocol import ApiError, Json, Resource
from twinlease.log import kv

_log = logging.getLogger(__name__)

NAME = "twinlease-serving-lease"
PERIOD_SECONDS = 60.0

_GROUP = ("admissionregistration.k8s.io", "v1", False)
POLICIES = Resource("ValidatingAdmissionPolicy", "validatingadmissionpolicies", *_GROUP)
BINDINGS = Resource("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", *_GROUP)

_FORBIDDEN = 403

_ACCOUNT = re.compile(r"'system:serviceaccount:[a-z0-9-]+:[a-z0-9.-]+'")
"""What the one variable may be that differs from one installation to another: who the operator is."""


class Guarded:
    """Remembers whether the admission policy is in force.

    Args:
        client: The API.
        clock: Monotonic seconds.
    """

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._asked: float | None = None
        self._holds = False

    def __call__(self) -> bool:
        """Tell whether it is, by what was found at most a minute ago."""
        with self._lock:
            now = self._clock()
            if self._asked is None or now - self._asked >= PERIOD_SECONDS:
                self._asked = now
                self._holds = self._ask()
            return self._holds

    @property
    def known(self) -> bool | None:
        """What was found last; None: nobody has looked yet."""
        return self._holds if self._asked is not None else None

    def _ask(self) -> bool:
        try:
            missing = weakness(self._client.find(POLICIES, NAME), self._client.find(BINDINGS, NAME))
        except ApiError as error:
            if error.status not in (_FORBIDDEN, NOT_FOUND):
                return self._holds  # no answer is no news
            missing = str(error)
        if missing:
            _log.warning("serving leases are not guarded", extra=kv(policy=NAME, problem=missing))
        return not missing


@cache
def shipped() -> tuple[Json, Json]:
    """Return policy and binding as they should be."""
    text = resources.files("twinlease.controller.manifests").joinpath("admission.yaml").read_text(encoding="utf-8")
    policy, binding = yaml.safe_load_all(text)
    return policy, binding


def weakness(policy: Json | None, binding: Json | None) -> str:
    """Return what keeps a policy from refusing what the shipped one does; empty: nothing that can be seen.

    One that refuses more is as good. Its messages are its own affair.
    """
    if policy is None or binding is None:
        return "there is no such policy" if policy is None else "there is no such binding"
    wanted, found = shipped()[0]["spec"], policy.get("spec", {})
    if found.get("failurePolicy", "Fail") != "Fail":
        return "its failurePolicy is not Fail"
    if found.get("matchConditions") or found.get("paramKind"):
        return "it has matchConditions or a paramKind: it may not be asked at all"
    if _matches(found.get("matchConstraints", {})) != _matches(wanted["matchConstraints"]):
        return "its matchConstraints are not those that were shipped"
    return _other_rules(found, wanted) or _unbound(binding.get("spec", {}))


def _other_rules(found: Json, wanted: Json) -> str:
    said = {each.get("name", ""): _plain(each) for each in found.get("variables") or ()}
    for each in wanted["variables"]:
        name, expression = each["name"], said.get(each["name"], "")
        if expression != _plain(each) and not (name == "operator" and _ACCOUNT.fullmatch(expression)):
            return f"its variable {name} is not the one that was shipped"
    rules = {_plain(each) for each in found.get("validations") or ()}
    for number, each in enumerate(wanted["validations"]):
        if _plain(each) not in rules:
            return f"it lacks validations[{number}] as shipped, or has another one in its place"
    return ""


def _unbound(binding: Json) -> str:
    """Return what keeps a binding from applying the policy to everything."""
    if binding.get("policyName") != NAME:
        return "the binding names another policy"
    if "Deny" not in (binding.get("validationActions") or ()):
        return "the binding does not deny"
    limits = binding.get("matchResources") or {}
    if binding.get("paramRef") or any(value for key, value in limits.items() if key != "matchPolicy"):
        return "the binding has matchResources or a paramRef: it does not apply to every serving lease"
    return ""


def _matches(constraints: Json) -> Json:
    """Return what a policy is asked about, without what says nothing, in one order."""
    left = {key: value for key, value in constraints.items() if value}
    left["resourceRules"] = _ordered(left.get("resourceRules", ()))
    return left


def _ordered(rules: Iterable[Json]) -> list[list[tuple[str, object]]]:
    return sorted(
        sorted((key, sorted(value) if isinstance(value, list) else value) for key, value in rule.items())
        for rule in rules
    )


def _plain(rule: Json) -> str:
    """Return an expression without what the way it was written down leaves in it."""
    return " ".join(str(rule.get("expression", "")).split())
