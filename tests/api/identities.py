"""Server pods and their tokens, as the kubelet would have them: bound to one pod, so that the API knows its UID."""

from tests.api.operating import administrator
from tests.lab.apiserver import ApiServer
from twinlease.kube import official
from twinlease.kube.protocol import PODS, SERVICE_ACCOUNTS, Json, Transport


def pod(server: ApiServer, namespace: str, name: str, account: str, node: str) -> Json:
    """Create a pod of a service account that is placed on a node, and return it. Nothing runs it."""
    body: Json = {
        "metadata": {"name": name},
        "spec": {
            "nodeName": node,
            "serviceAccountName": account,
            "automountServiceAccountToken": False,
            "containers": [{"name": "c", "image": "localhost/none"}],
        },
    }
    return administrator(server).request("POST", PODS.path(namespace), body=body)


def bound(server: ApiServer, running: Json) -> Transport:
    """Return the way to the API of a pod's service account, with a token that is bound to this very pod."""
    metadata = running["metadata"]
    path = SERVICE_ACCOUNTS.path(metadata["namespace"], running["spec"]["serviceAccountName"], "token")
    reference = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
    spec = {"expirationSeconds": 3600, "boundObjectRef": reference}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    return _bearer(server, administrator(server).request("POST", path, body=body)["status"]["token"])


def _bearer(server: ApiServer, token: str) -> Transport:
    configuration = official.configuration(server.kubeconfig)
    configuration.cert_file = configuration.key_file = None
    configuration.api_key = {"BearerToken": f"Bearer {token}"}
    return official.OfficialTransport(configuration)
