"""Values that the chart is rendered with: each alone, and what goes together."""

from typing import Any

Json = dict[str, Any]

PAIR: Json = {
    "spec": {
        "primary": {"nodeName": "n1", "interface": "eth1"},
        "secondary": {"nodeName": "n2", "interface": "eth1"},
    }
}
POOL: Json = {
    "spec": {
        "pairRef": {"name": "lan"},
        "subnet": "10.9.0.0/24",
        "ranges": [{"start": "10.9.0.100", "end": "10.9.0.199"}],
    }
}
DIGEST = "sha256:" + "0123456789abcdef" * 4

MATRIX: dict[str, Json] = {
    "defaults": {},
    "namespaced": {"watchNamespaces": ["one", "two"]},
    "image": {"image": {"repository": "registry.example:5000/a/b", "digest": DIGEST, "pullPolicy": "Always"}},
    "one replica": {"replicas": 1, "podDisruptionBudget": {"enabled": False}},
    "pods": {
        "imagePullSecrets": ["pull", "more"],
        "logLevel": "debug",
        "resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": None},
        "nodeSelector": {"node-role.kubernetes.io/control-plane": ""},
        "tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}],
        "priorityClassName": "system-cluster-critical",
        "podLabels": {"team": "net"},
        "podAnnotations": {"example.org/note": "1"},
    },
    "no definitions": {"crds": {"install": False}},
    "monitoring": {
        "podMonitor": {"enabled": True, "interval": "1m", "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
        "dashboard": {"enabled": True, "labels": {"grafana_dashboard": "yes"}},
    },
    "monitoring, namespaced": {"watchNamespaces": ["one"], "podMonitor": {"enabled": True}},
    "pairs and pools": {"pairs": {"lan": PAIR}, "pools": {"office": POOL}},
    "pairs elsewhere": {
        "watchNamespaces": ["one", "two"],
        "pairs": {"lan": {**PAIR, "namespace": "one"}},
        "pools": {"office": {**POOL, "namespace": "one"}},
    },
}
