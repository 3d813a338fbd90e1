"""A pair's serving lease on a real API server, and everybody who may want to write it, each with a token of its own."""

from tests.api.identities import bound, pod
from tests.api.operating import administrator
from tests.lab.apiserver import ApiServer
from twinlease.controller.manifests import access
from twinlease.controller.manifests.common import Owner
from twinlease.kube import protocol
from twinlease.kube.client import Client
from twinlease.kube.protocol import MERGE_PATCH, SERVING_LEASES, Json, Transport
from twinlease.model.states import Role

FINALIZER = "twinlease.io/serving"


class Scene:
    """A pair's serving lease under its operator, with both server pods and everybody's own way to the API."""

    def __init__(self, server: ApiServer, operator: Transport, namespace: str) -> None:
        self.server = server
        self.namespace = namespace
        self.operator = operator
        self.admin = administrator(server)
        self._make_accounts("p")
        nodes = {Role.PRIMARY: "n1", Role.SECONDARY: "n2"}
        self.pods = {role: pod(server, namespace, f"p-{role}", f"p-{role}", node) for role, node in nodes.items()}
        self.servers = {role: bound(server, running) for role, running in self.pods.items()}
        self.path = SERVING_LEASES.path(namespace, "p")
        self.make("p")
        for role in Role:
            self.own(role, {"incarnation": self.incarnation(role), "node": nodes[role]})

    def make(self, name: str) -> None:
        """Let the operator create a lease and grant the primary."""
        body = {
            "apiVersion": SERVING_LEASES.api_version,
            "kind": SERVING_LEASES.kind,
            "metadata": {"name": name, "namespace": self.namespace, "finalizers": [FINALIZER]},
            "spec": {},
        }
        client = Client(self.operator, "twinlease-operator")
        made = client.create(SERVING_LEASES, body)
        grant = {"holder": self.incarnation(Role.PRIMARY), "node": "n1", "epoch": 5}
        made["spec"] |= {"epoch": 5}
        made["spec"]["servers"]["primary"]["grant"] |= grant
        client.replace(SERVING_LEASES, made)

    def _make_accounts(self, pair: str) -> None:
        # By the operator: the API server refuses to let it hand on rights that it does not hold itself.
        owner = Owner(namespace=self.namespace, name=pair, uid="11111111-1111-4111-8111-111111111111")
        client = Client(self.operator, "twinlease-operator")
        for role in Role:
            client.apply(protocol.SERVICE_ACCOUNTS, access.service_account(owner, role))
            client.apply(protocol.ROLES, access.access_role(owner, role, ()))
            client.apply(protocol.ROLE_BINDINGS, access.role_binding(owner, role))

    def incarnation(self, role: Role) -> str:
        """Return the incarnation of a server's pod."""
        return f"{self.pods[role]['metadata']['uid']}/0123456789abcdef"

    def own(self, role: Role, part: Json) -> None:
        """Let a server change its own part."""
        merge(self.servers[role], self.path, {"spec": {"servers": {role: {"own": part}}}})

    def read(self) -> Json:
        """Return the lease."""
        return self.admin.request("GET", self.path)

    def spec(self) -> Json:
        """Return its specification."""
        return dict(self.read()["spec"])


def merge(who: Transport, path: str, body: Json, **query: str) -> Json:
    """Merge a change into an object, as somebody."""
    return who.request("PATCH", path, body=body, content_type=MERGE_PATCH, query=query)
