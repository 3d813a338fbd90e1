"""A server's identity and rights: its own DHCPServer, its pair's serving lease, its own configurations: no more."""

import base64
from collections.abc import Callable, Iterable

from twinlease.api.types import GROUP
from twinlease.controller.manifests.common import Owner, metadata
from twinlease.kube.protocol import Json
from twinlease.model.states import Role

KEY_BYTES = 16


def service_account(owner: Owner, role: Role) -> Json:
    """Return a server's ServiceAccount; its token is projected into the sidecar only."""
    return {"metadata": metadata(owner, owner.server(role), role), "automountServiceAccountToken": False}


def access_role(owner: Owner, role: Role, config_maps: Iterable[str]) -> Json:
    """Return a server's Role; ``config_maps`` are the ConfigMaps that it may read.

    Of its pair's serving lease it may patch its own part only, which the admission policy sees to.
    """
    name = owner.server(role)
    rules: list[Json] = [
        {
            "apiGroups": [GROUP],
            "resources": ["dhcpservers"],
            "resourceNames": [name],
            "verbs": ["get", "list", "watch"],
        },
        {"apiGroups": [GROUP], "resources": ["dhcpservers/status"], "resourceNames": [name], "verbs": ["patch"]},
        {
            "apiGroups": [GROUP],
            "resources": ["dhcpservingleases"],
            "resourceNames": [owner.name],
            "verbs": ["get", "list", "watch", "patch"],
        },
    ]
    names = sorted(set(config_maps))
    if names:
        rules.append({"apiGroups": [""], "resources": ["configmaps"], "resourceNames": names, "verbs": ["get"]})
    return {"metadata": metadata(owner, name, role), "rules": rules}


def role_binding(owner: Owner, role: Role) -> Json:
    """Return the RoleBinding of a server's account to its Role."""
    name = owner.server(role)
    return {
        "metadata": metadata(owner, name, role),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": owner.namespace}],
    }


def secret(owner: Owner, random_bytes: Callable[[int], bytes]) -> Json:
    """Return the Secret with the pair's control key: made once, never changed.

    Args:
        owner: The pair.
        random_bytes: The operating system's random source.
    """
    key = base64.b64encode(random_bytes(KEY_BYTES)).decode()
    return {
        "metadata": metadata(owner, owner.secret),
        "type": "Opaque",
        "immutable": True,
        "stringData": {"secret": key},
    }
