"""The sidecars' part in the serving lease, played by the test with the tokens that the real ones have."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from tests.lab.apiserver import ApiServer
from twinlease.api.servinglease import (
    Answer,
    Answered,
    Asks,
    Database,
    DatabaseVerdict,
    Grant,
    InForce,
    Lineage,
    Own,
    Report,
    ServingLeaseSpec,
)
from twinlease.controller.manifests.serving import full
from twinlease.decide import dates
from twinlease.decide.pairview import entry
from twinlease.kube import official
from twinlease.kube.client import Client
from twinlease.kube.protocol import SERVICE_ACCOUNTS, SERVING_LEASES, Json, Transport
from twinlease.model.states import Role


class Seat:
    """One server as its serving lease shows it; what it remembers on its disk survives its pods.

    Args:
        server: The API server.
        admin: Of somebody who may do everything but change a serving lease.
        namespace: Of the pair.
        pair: Its name.
        role: Which server.
        clock: Its node's wall clock.
    """

    def __init__(
        self, server: ApiServer, admin: Client, namespace: str, pair: str, role: Role, clock: Callable[[], float]
    ) -> None:
        self._server = server
        self._admin = admin
        self._namespace = namespace
        self._pair = pair
        self.role = role
        self._clock = clock
        self.boot = 1
        self.pod: Json = {}
        self.client: Client | None = None
        self.database = Database(verdict=DatabaseVerdict.VIRGIN)
        self.lineage = Lineage()
        self.renewal = 0
        self.seen_epoch = 0
        self.kernel_fence = True

    @property
    def name(self) -> str:
        """Name of the DHCPServer and its pod."""
        return f"{self._pair}-{self.role}"

    @property
    def incarnation(self) -> str:
        """Pod and boot."""
        return f"{self.pod['metadata']['uid']}/{self.boot}"

    def sit(self, pod: Json) -> None:
        """Be the sidecar of a pod."""
        if self.pod.get("metadata", {}).get("uid") != pod["metadata"]["uid"]:
            self.pod = pod
            self.client = Client(bound(self._server, self._namespace, self.name, pod), "twinlease-sidecar")

    def lease(self) -> ServingLeaseSpec:
        """Return the pair's serving lease as it is."""
        return msgspec.convert(self._admin.get(SERVING_LEASES, self._pair, self._namespace)["spec"], ServingLeaseSpec)

    @property
    def grant(self) -> Grant:
        """The operator's part of this server's entry."""
        return entry(self.lease(), self.role).grant

    @property
    def own(self) -> Own:
        """This server's own part."""
        return entry(self.lease(), self.role).own

    @property
    def granted(self) -> bool:
        """Whether this incarnation holds a grant that it has not given back."""
        grant, own = self.grant, self.own
        return grant.holder == self.incarnation and own.released != grant.epoch

    def ask(self, *, ready: bool = True, waiting: float = 0.0, **more: Any) -> None:  # noqa: ANN401  # fields of Own
        """Ask for a grant: nothing runs."""
        asks = Asks(
            incarnation=self.incarnation,
            reason="Test",
            stopped=True,
            ready=ready,
            waiting_millis=int(waiting * 1000),
        )
        self.write(**{"in_force": InForce(), "report": Report(), "asks": asks, **more})

    def confirm(self, state: str, *, partner: str = "", **report: Any) -> None:  # noqa: ANN401  # fields of Report
        """Renew under the grant, in a failover state."""
        grant = self.grant
        if not self.lineage.id:
            self.lineage = Lineage(id=f"id-{self.role}")
        self.lineage = replace(self.lineage, counter=self.lineage.counter + 1, confirmed=dates.text(self._clock()))
        self.database = Database(verdict=DatabaseVerdict.INTACT, state=state)
        force = InForce(
            epoch=grant.epoch,
            duration=grant.duration,
            promise=grant.promise,
            max_promise=grant.max_promise,
            isolation=grant.isolation,
            kernel_fence=self.kernel_fence,
        )
        told = Report(state=state, partner_state=partner or state, mclt="30m", serving=True)
        self.write(in_force=force, report=replace(told, **report), lineage=self.lineage)

    def cut_off(self, seconds: float, *, interruption: int = 1, **report: Any) -> None:  # noqa: ANN401  # as above
        """Renew in communications-interrupted, which has lasted for so long."""
        more = {"interruption": interruption, "interrupted_millis": int(seconds * 1000), **report}
        self.confirm("CommunicationsInterrupted", partner="Normal", **more)

    def answer(self, result: Answer, state: str, **report: Any) -> None:  # noqa: ANN401  # as above
        """Answer the order that stands."""
        order = self.lease().order
        assert order is not UNSET
        answer = Answered(epoch=order.epoch, result=result, reason="Test")
        self.confirm(state, **report)
        self.write(answer=answer)

    def release(self) -> None:
        """Give the grant back: the daemon is dead."""
        self.write(released=self.grant.epoch, in_force=InForce(), report=Report())

    def crash(self, *, verdict: DatabaseVerdict = DatabaseVerdict.INTACT, state: str = "") -> None:
        """Begin anew as another boot of the same pod, with such a lease database."""
        self.boot += 1
        self.renewal = 0
        self.database = Database(verdict=verdict, state=state or self.database.state)

    def write(self, **changes: Any) -> None:  # noqa: ANN401  # fields of Own
        """Write this server's own part as the contract says, conditionally."""
        lease = self.lease()
        grant, before = entry(lease, self.role).grant, entry(lease, self.role).own
        self.renewal += 1
        self.seen_epoch = max(self.seen_epoch, lease.epoch)
        kept = before if before.incarnation == self.incarnation else Own(lineage=before.lineage)
        if "asks" not in changes:
            changes["asks"] = UNSET
        own = replace(
            kept,
            incarnation=self.incarnation,
            node=self.pod["spec"].get("nodeName", ""),
            renewal=self.renewal,
            epoch=self.seen_epoch,
            **{"database": self.database, **changes},
        )
        path = f"/spec/servers/{self.role}"
        assert self.client is not None
        operations = [
            {"op": "test", "path": f"{path}/grant/holder", "value": grant.holder},
            {"op": "test", "path": f"{path}/grant/epoch", "value": grant.epoch},
            {"op": "replace", "path": f"{path}/own", "value": full(own)},
        ]
        self.client.json_patch(SERVING_LEASES, self._pair, self._namespace, operations)


def bound(server: ApiServer, namespace: str, account: str, pod: Json) -> Transport:
    """Return the way to the API with a token that is bound to a pod, as in that pod."""
    path = SERVICE_ACCOUNTS.path(namespace, account, "token")
    metadata = pod["metadata"]
    reference = {"kind": "Pod", "apiVersion": "v1", "name": metadata["name"], "uid": metadata["uid"]}
    spec = {"expirationSeconds": 3600, "boundObjectRef": reference}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    administrator = official.OfficialTransport(official.configuration(server.kubeconfig))
    token = administrator.request("POST", path, body=body)["status"]["token"]
    configuration = official.configuration(server.kubeconfig)
    configuration.cert_file = configuration.key_file = None
    configuration.api_key = {"BearerToken": f"Bearer {token}"}
    return official.OfficialTransport(configuration)
