"""What all objects of a pair have in common: names, labels, owners."""

from collections.abc import Mapping

from msgspec import Struct

from twinlease.controller.objects import LABEL_MANAGED, LABEL_PAIR, LABEL_ROLE, MANAGED
from twinlease.kube.protocol import PAIRS, Json
from twinlease.model.states import Role


def server_name(pair: str, role: Role) -> str:
    """Return the name of a pair's server; its pod, service account and role have the same."""
    return f"{pair}-{role}"


class Owner(Struct, frozen=True, kw_only=True):
    """The pair that owns what is built for it."""

    namespace: str
    name: str
    uid: str

    def server(self, role: Role) -> str:
        """Return the name of a server; its pod, service account and role have the same."""
        return server_name(self.name, role)

    @property
    def secret(self) -> str:
        """Name of the Secret with the control key."""
        return f"{self.name}-omapi"

    @property
    def ledger(self) -> str:
        """Name of the ConfigMap with what was last accepted."""
        return f"{self.name}-ledger"

    def claim(self, role: Role) -> str:
        """Return the name of a server's volume claim."""
        return f"{self.server(role)}-leases"


def metadata(
    owner: Owner,
    name: str,
    role: Role | None = None,
    *,
    owned: bool = True,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Json:
    """Return the metadata of an object of a pair; ``owned``: it is deleted with the pair."""
    built: Json = {
        "name": name,
        "namespace": owner.namespace,
        "labels": {
            "app.kubernetes.io/name": "twinlease",
            LABEL_MANAGED: MANAGED,
            LABEL_PAIR: owner.name,
            **({LABEL_ROLE: str(role)} if role is not None else {}),
            **(labels or {}),
        },
    }
    if annotations:
        built["annotations"] = dict(annotations)
    if owned:
        built["ownerReferences"] = [
            {
                "apiVersion": PAIRS.api_version,
                "kind": PAIRS.kind,
                "name": owner.name,
                "uid": owner.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
    return built
