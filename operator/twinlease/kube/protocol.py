"""The seam to the Kubernetes API: one transport protocol, two implementations, one client above.

``kube.official`` wraps the official client (operator and command line), ``kube.light`` is the standard library's HTTP
with the pod's service account (sidecar: the official client alone would cost more memory than all the rest).
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from msgspec import Struct

Json = dict[str, Any]

JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


class ApiError(Exception):
    """The API server refused, or could not be asked.

    Attributes:
        status: HTTP status; 0 where no answer came (connection, TLS, timeout).
        reason: The Status object's reason, like ``Conflict``; empty where there is none.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}" if status else message)
        self.status = status
        self.reason = reason
        self.message = message


class Transport(Protocol):
    """Sends one request; every call has a deadline."""

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = JSON,
        timeout: float = 10.0,
    ) -> Json:
        """Return the decoded answer.

        Raises:
            ApiError: Any status of 400 and above, or no answer.
        """

    def stream(
        self, path: str, *, query: Mapping[str, str] | None = None, timeout: float = 10.0
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Return a watch's lines as they come; ``timeout`` is the longest silence (seconds) that is no error.

        Raises:
            ApiError: As ``request``, also while iterating.
        """


class Resource(Struct, frozen=True):
    """Where a kind lives."""

    kind: str
    plural: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """``apiVersion`` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the URL path of the collection, of one object, or of its subresource."""
        parts = [f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"]
        if namespace is not None and self.namespaced:
            parts.append(f"namespaces/{namespace}")
        parts.append(self.plural)
        parts.extend(part for part in (name, subresource) if part)
        return "/".join(parts)


_TWINLEASE = ("twinlease.io", "v1alpha1")
PAIRS = Resource("DHCPFailoverPair", "dhcpfailoverpairs", *_TWINLEASE)
POOLS = Resource("DHCPPool", "dhcppools", *_TWINLEASE)
RESERVATIONS = Resource("DHCPReservation", "dhcpreservations", *_TWINLEASE)
SERVERS = Resource("DHCPServer", "dhcpservers", *_TWINLEASE)
SERVING_LEASES = Resource("DHCPServingLease", "dhcpservingleases", *_TWINLEASE)
PODS = Resource("Pod", "pods")
NODES = Resource("Node", "nodes", namespaced=False)
CONFIG_MAPS = Resource("ConfigMap", "configmaps")
SECRETS = Resource("Secret", "secrets")
SERVICE_ACCOUNTS = Resource("ServiceAccount", "serviceaccounts")
CLAIMS = Resource("PersistentVolumeClaim", "persistentvolumeclaims")
EVENTS = Resource("Event", "events", "events.k8s.io", "v1")
ROLES = Resource("Role", "roles", "rbac.authorization.k8s.io", "v1")
ROLE_BINDINGS = Resource("RoleBinding", "rolebindings", "rbac.authorization.k8s.io", "v1")
LEASES = Resource("Lease", "leases", "coordination.k8s.io", "v1")
