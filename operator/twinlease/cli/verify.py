"""``twinlease verify``: whether an installation works, asked with the operator's own account. `helm test` runs it."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from twinlease.controller import guarded
from twinlease.controller.watch import WATCHED, listing
from twinlease.kube import official
from twinlease.kube.client import NOT_FOUND, Client
from twinlease.kube.protocol import LEASES, ApiError, Json, Resource

_MANAGER = "twinlease-verify"
_LEADER_SECONDS = 60.0
_POLL_SECONDS = 1.0
_WHO_AM_I = Resource("SelfSubjectReview", "selfsubjectreviews", "authentication.k8s.io", "v1", namespaced=False)


class Finding(Struct, frozen=True):
    """One thing that was tried.

    Attributes:
        tried: What, as a statement that should hold.
        problem: Why it does not, with what to do; empty: it holds.
    """

    tried: str
    problem: str = ""

    def line(self) -> str:
        """Return it as a line of text."""
        return f"wrong  {self.tried}: {self.problem}" if self.problem else f"ok     {self.tried}"


class Clock(Struct, frozen=True):
    """Monotonic seconds, and a wait of so many."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def kinds(client: Client, namespaces: Sequence[str]) -> list[Finding]:
    """Try to list every kind that the operator watches, where it watches it."""
    return [_listed(client, resource, namespaces) for resource in WATCHED]


def policy(client: Client) -> Finding:
    """Tell whether the admission policy refuses what it should, and knows the account that asks as the operator."""
    tried = "the admission policy guards the serving leases"
    try:
        found, binding = client.find(guarded.POLICIES, guarded.NAME), client.find(guarded.BINDINGS, guarded.NAME)
        account = client.create(_WHO_AM_I, {"metadata": {}})
    except ApiError as error:
        return Finding(tried, str(error))
    if missing := guarded.weakness(found, binding):
        return Finding(tried, f"{missing}; run helm upgrade, or apply manifests/admission.yaml")
    name, wanted = account["status"]["userInfo"]["username"], named(found or {})
    if name != wanted:
        return Finding(tried, f"it takes {wanted or 'nobody'} for the operator, not {name}: it would refuse its writes")
    return Finding(tried)


def named(found: Json) -> str:
    """Return whom a policy takes for the operator."""
    variables = found.get("spec", {}).get("variables") or ()
    return next((str(each["expression"]).strip("' \n") for each in variables if each["name"] == "operator"), "")


def leader(client: Client, namespace: str, clock: Clock, name: str = "twinlease-operator") -> Finding:
    """Wait for a renewal of the election's Lease, for a minute at most: that an operator lives and leads."""
    tried = "an operator leads"
    deadline = clock.now() + _LEADER_SECONDS
    first, problem = "", ""
    while clock.now() < deadline:
        try:
            lease = client.find(LEASES, name, namespace)
        except ApiError as error:
            return Finding(tried, str(error))
        spec = {} if lease is None else lease["spec"]
        holder, renewed = spec.get("holderIdentity") or "", spec.get("renewTime") or ""
        if holder and first and renewed != first:
            return Finding(f"{tried}: {holder}")
        first = first or renewed
        problem = f"{holder} renews no more" if holder else "nobody holds the lead"
        clock.sleep(_POLL_SECONDS)
    return Finding(tried, f"{problem}; see kubectl logs --namespace {namespace} deployment/{name}")


def run(argv: list[str], environment: Mapping[str, str] = os.environ) -> int:
    """Try all, print a line for each; return 0 if all is well, else 1."""
    parser = argparse.ArgumentParser(prog="twinlease verify", description="Try whether this installation works.")
    parser.add_argument("--namespace", help="of the operator (POD_NAMESPACE)")
    parser.add_argument("--kubeconfig", type=Path, help="not in a cluster: how to reach the API")
    given = parser.parse_args(argv)
    namespace = given.namespace or environment.get("POD_NAMESPACE", "")
    if not namespace:
        parser.error("--namespace or POD_NAMESPACE must name the namespace of the operator")
    served = [each.strip() for each in environment.get("TWINLEASE_NAMESPACES", "").split(",") if each.strip()]
    try:
        client = Client(official.OfficialTransport(official.configuration(given.kubeconfig)), _MANAGER)
    except ApiError as error:
        sys.stderr.write(f"twinlease verify: {error}\n")
        return 1
    findings = [*kinds(client, served), policy(client), leader(client, namespace, Clock())]
    sys.stdout.write("".join(f"{each.line()}\n" for each in findings))
    return 1 if any(each.problem for each in findings) else 0


def _listed(client: Client, resource: Resource, namespaces: Sequence[str]) -> Finding:
    tried = f"the operator may list {resource.plural}"
    try:
        listing(client.list, resource, namespaces)
    except ApiError as error:
        missing = error.status == NOT_FOUND and "." in resource.group
        hint = "; the definitions are missing: kubectl apply --server-side --filename crds/" if missing else ""
        return Finding(tried, f"{error}{hint}")
    return Finding(tried)
