"""A server's pod: guard and DHCP server in one container, the sidecar beside it, the lease database under both."""

import hashlib

import msgspec
from msgspec import UNSET

from twinlease.api.pair import PairSpec
from twinlease.api.peer import Peer
from twinlease.api.storage import NodeDirectory
from twinlease.api.workload import ResourceRequirements
from twinlease.controller.manifests.common import Owner, metadata
from twinlease.controller.objects import ANNOTATION_TEMPLATE, LABEL_PAIR, LABEL_ROLE
from twinlease.decide.placement import Placement
from twinlease.kube.protocol import Json
from twinlease.model.states import Role

UID = 6767
"""User and group of everything in a server pod; the image has it, and the fence will match by it."""

GUARD = "/usr/lib/twinlease/bin/guard-python"
RUN = "/run/twinlease"
LEASES = "/var/lib/twinlease"
OMAPI = "/etc/twinlease/omapi"
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"

_DHCP_PORT = 67
_GRACE_SECONDS = 10
_SERVER_REQUESTS = {"cpu": "50m", "memory": "64Mi"}
_SIDECAR_REQUESTS = {"cpu": "10m", "memory": "48Mi"}
_CAPABILITIES = ["NET_ADMIN", "NET_BIND_SERVICE", "NET_RAW"]


def pod(owner: Owner, spec: PairSpec, role: Role, placement: Placement, image: str) -> Json:
    """Return a server's pod.

    Args:
        owner: The pair.
        spec: Its accepted spec.
        role: Which server.
        placement: Where it may run.
        image: The operator's own image, for a pair that names none.
    """
    template = _template(owner, spec, role, image)
    built = {**template, "affinity": _affinity(owner, role, placement)}
    annotations = {ANNOTATION_TEMPLATE: _digest(template)}
    return {"metadata": metadata(owner, owner.server(role), role, annotations=annotations), "spec": built}


def template_hash(owner: Owner, spec: PairSpec, role: Role, image: str) -> str:
    """Return what tells two pods apart that must not be taken for each other; placement is no part of it."""
    return _digest(_template(owner, spec, role, image))


def volume_claim(owner: Owner, spec: PairSpec, role: Role, *, owned: bool) -> Json | None:
    """Return a server's volume claim; None if its leases live in a node's directory."""
    if spec.storage.node_directory is not UNSET:
        return None
    claim = spec.storage.persistent_volume_claim
    storage_class = UNSET if claim is UNSET else claim.storage_class_name
    size = "1Gi" if claim is UNSET else str(claim.size)
    wanted: Json = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    if storage_class is not UNSET:
        wanted["storageClassName"] = storage_class
    return {"metadata": metadata(owner, owner.claim(role), role, owned=owned), "spec": wanted}


def _digest(template: Json) -> str:
    return hashlib.sha256(msgspec.json.encode(template, order="deterministic")).hexdigest()[:16]


def _template(owner: Owner, spec: PairSpec, role: Role, image: str) -> Json:
    peer = spec.primary if role is Role.PRIMARY else spec.secondary
    chosen = spec.image if spec.image is not UNSET else image
    pulled = {"image": chosen}
    if spec.image_pull_policy is not UNSET:
        pulled["imagePullPolicy"] = spec.image_pull_policy
    built: Json = {
        "serviceAccountName": owner.server(role),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "hostNetwork": True,
        "dnsPolicy": "Default",
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": UID,
            "runAsGroup": UID,
            "fsGroup": UID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "tolerations": _tolerations(spec),
        "initContainers": [_sidecar(owner, spec, role, pulled)],
        "containers": [_server(spec, peer, pulled)],
        "volumes": _volumes(owner, spec, role),
    }
    if spec.image_pull_secrets:
        built["imagePullSecrets"] = [{"name": name} for name in spec.image_pull_secrets]
    if spec.priority_class_name is not UNSET:
        built["priorityClassName"] = spec.priority_class_name
    return built


def _server(spec: PairSpec, peer: Peer, pulled: Json) -> Json:
    ports = [
        ("dhcp", _DHCP_PORT, "UDP"),
        ("failover", peer.failover_port, "TCP"),
        ("omapi", spec.omapi_port, "TCP"),
    ]
    if spec.metrics_port:  # the sidecar's; here, where the scheduler and Prometheus look for ports
        ports.append(("metrics", spec.metrics_port, "TCP"))
    return {
        "name": "server",
        **pulled,
        # Directly, without a shell: anything in between would lose the capabilities.
        "command": [GUARD, "-I", "-m", "twinlease.guard"],
        "env": [{"name": "TWINLEASE_ENGINE", "value": str(spec.engine)}],
        # On the host's network anyway; declared, they keep the scheduler from putting two servers on one node.
        "ports": [
            {"name": name, "containerPort": port, "hostPort": port, "protocol": protocol}
            for name, port, protocol in ports
        ],
        "securityContext": _security(_CAPABILITIES),
        "resources": _resources(spec.resources.server, _SERVER_REQUESTS),
        "volumeMounts": [
            {"name": "run", "mountPath": RUN},
            {"name": "leases", "mountPath": LEASES},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # the container's own, in memory
        ],
    }


def _sidecar(owner: Owner, spec: PairSpec, role: Role, pulled: Json) -> Json:
    fields = {
        "POD_NAME": "metadata.name",
        "POD_NAMESPACE": "metadata.namespace",
        "POD_UID": "metadata.uid",
        "NODE_NAME": "spec.nodeName",
        "POD_IP": "status.podIP",
    }
    return {
        "name": "sidecar",
        **pulled,
        "restartPolicy": "Always",
        "command": ["twinlease", "sidecar"],
        "env": [
            *({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()),
            {"name": "TWINLEASE_SERVER", "value": owner.server(role)},
            {"name": "TWINLEASE_METRICS_PORT", "value": str(spec.metrics_port)},
        ],
        "securityContext": _security([]),
        "resources": _resources(spec.resources.sidecar, _SIDECAR_REQUESTS),
        "volumeMounts": [
            {"name": "run", "mountPath": RUN},
            {"name": "leases", "mountPath": LEASES, "readOnly": True},
            {"name": "omapi", "mountPath": OMAPI, "readOnly": True},
            {"name": "api-access", "mountPath": SERVICE_ACCOUNT, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # the container's own, in memory
        ],
    }


def _security(capabilities: list[str]) -> Json:
    allowed: Json = {"drop": ["ALL"]}
    if capabilities:
        allowed["add"] = capabilities
    return {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": allowed}


def _resources(wanted: ResourceRequirements, requests: Json) -> Json:
    built: Json = {"requests": dict(wanted.requests) or requests}
    if wanted.limits:
        built["limits"] = dict(wanted.limits)
    return built


def _tolerations(spec: PairSpec) -> list[Json]:
    for_ever = [
        {"key": f"node.kubernetes.io/{condition}", "operator": "Exists", "effect": "NoExecute"}
        for condition in ("not-ready", "unreachable")
    ]
    return [*for_ever, *(msgspec.to_builtins(each) for each in spec.tolerations)]


def _volumes(owner: Owner, spec: PairSpec, role: Role) -> list[Json]:
    directory = spec.storage.node_directory
    leases: Json
    if isinstance(directory, NodeDirectory):
        leases = {"hostPath": {"path": directory.path, "type": "Directory"}}
    else:
        leases = {"persistentVolumeClaim": {"claimName": owner.claim(role)}}
    token = {
        "projected": {
            "defaultMode": 0o440,
            "sources": [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
            ],
        }
    }
    return [
        {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "128Mi"}},
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "128Mi"}},
        {"name": "leases", **leases},
        {"name": "omapi", "secret": {"secretName": owner.secret, "defaultMode": 0o440}},
        {"name": "api-access", **token},
    ]


def _affinity(owner: Owner, role: Role, placement: Placement) -> Json:
    """Return the constraints: this node, or any that the labels choose; never the partner's."""
    if placement.node:
        term: Json = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [placement.node]}]}
    else:
        labels = [
            {"key": key, "operator": "In", "values": [value]} for key, value in sorted(placement.selector.items())
        ]
        avoided = [{"key": "metadata.name", "operator": "NotIn", "values": [node]} for node in placement.avoid]
        term = {**({"matchExpressions": labels} if labels else {}), **({"matchFields": avoided} if avoided else {})}
    partner = {"matchLabels": {LABEL_PAIR: owner.name, LABEL_ROLE: str(role.other)}}
    return {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}},
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"labelSelector": partner, "topologyKey": "kubernetes.io/hostname"}
            ]
        },
    }
