"""Whether the API server keeps each sidecar to its own part of the serving lease: asked now and then, remembered."""

import logging
import threading
import time
from collections.abc import Callable

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

    def _ask(self) -> bool:
        try:
            missing = _missing(self._client.find(POLICIES, NAME), self._client.find(BINDINGS, NAME))
        except ApiError as error:
            if error.status not in (_FORBIDDEN, NOT_FOUND):
                return self._holds  # no answer is no news
            missing = str(error)
        if missing:
            _log.warning("serving leases are not guarded", extra=kv(policy=NAME, problem=missing))
        return not missing


def _missing(policy: Json | None, binding: Json | None) -> str:
    """Return what keeps the policy from refusing what it should; empty: nothing."""
    if policy is None or binding is None:
        return "there is no such policy" if policy is None else "there is no such binding"
    if policy.get("spec", {}).get("failurePolicy", "Fail") != "Fail":
        return "its failurePolicy is not Fail"
    spec = binding.get("spec", {})
    if spec.get("policyName") != NAME:
        return "the binding names another policy"
    return "" if "Deny" in spec.get("validationActions", ()) else "the binding does not deny"
