"""An API server, the real Helm for it, and what both say of the chart's objects."""

import http
import json
from typing import Any

from tests.chart.plain import CHART
from tests.lab.apiserver import ApiServer
from tests.lab.helm import Helm
from tests.lab.rest import ApiError, Rest
from tests.lab.shell import CommandError
from tests.lab.waiting import until

Json = dict[str, Any]

GROUP = "/apis/twinlease.io/v1alpha1"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_FINALIZED = ("dhcpservingleases",)
_CLUSTER_WIDE = "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings"


class Cluster:
    """One API server without controllers and kubelets."""

    def __init__(self, server: ApiServer, helm: Helm) -> None:
        self.server = server
        self.helm = helm
        self.api = Rest(server.kubeconfig)
        self.kubectl = server.kubectl

    def make_namespace(self, name: str) -> str:
        """Make a namespace if it is not there, and return its name."""
        self.api.post("/api/v1/namespaces", {"metadata": {"name": name}})
        return name

    def install(self, namespace: str, *options: str, name: str = "twinlease", values: Json | None = None) -> str:
        """Install the chart and return what Helm printed."""
        return self._helm("install", namespace, *options, name=name, values=values)

    def upgrade(self, namespace: str, *options: str, chart: str = str(CHART), values: Json | None = None) -> str:
        """Upgrade to a chart and return what Helm printed."""
        return self._helm("upgrade", namespace, *options, chart=chart, values=values)

    def _helm(
        self,
        verb: str,
        namespace: str,
        *options: str,
        name: str = "twinlease",
        chart: str = str(CHART),
        values: Json | None = None,
    ) -> str:
        # There are no kubelets: nothing ever becomes ready.
        waiting = ["--wait=hookOnly", "--values", "-"]
        return self.helm(
            verb, name, chart, "--namespace", namespace, *waiting, *options, stdin=json.dumps(values or {})
        )

    def attempt(self, *arguments: str) -> tuple[int, str]:
        """Run a Helm command that may fail; return 0 or 1 and its words."""
        try:
            return 0, self.helm(*arguments)
        except CommandError as error:
            return 1, error.output

    def patch(self, what: str, operations: list[Json]) -> None:
        """Change an object by a JSON patch."""
        self.kubectl("patch", what, "--type=json", "--patch", json.dumps(operations))

    def serves(self, path: str) -> bool:
        """Tell whether there is something at a path, and ready."""
        return self._status(path) == http.HTTPStatus.OK

    def lacks(self, path: str) -> bool:
        """Tell whether there is nothing at a path; a kind that is just coming or going is neither."""
        return self._status(path) == http.HTTPStatus.NOT_FOUND

    def _status(self, path: str) -> int:
        try:
            self.api.get(path)
        except ApiError as error:
            return error.code
        return http.HTTPStatus.OK

    def definition(self, plural: str) -> Json:
        """Return the definition of a kind of ours."""
        return dict(self.api.get(f"{DEFINITIONS}/{plural}.twinlease.io"))

    def clean(self) -> None:
        """Take away every release and all that they leave."""
        for release in json.loads(self.helm("list", "--all-namespaces", "--output", "json")):
            self.helm("uninstall", release["name"], "--namespace", release["namespace"])
        self.kubectl("delete", _CLUSTER_WIDE, "--selector=app.kubernetes.io/name=twinlease", "--ignore-not-found")
        # Who deletes a kind whose storage is just being made waits minutes for the API server to try again (measured:
        # InstanceDeletionFailed, "storage is (re)initializing").
        until("what there is is served", lambda: all(map(self._is_served, self._ours())), timeout=30.0)
        ours = self._ours()
        for plural in _FINALIZED:
            if f"{plural}.twinlease.io" in ours:
                self._let_go(plural)
        if ours:
            self.kubectl("delete", "crds", "--wait=false", "--ignore-not-found", *ours)
        until("the kinds are gone", lambda: self.lacks(GROUP) and not self._ours(), timeout=120.0)

    def _ours(self) -> list[str]:
        names = [each["metadata"]["name"] for each in self.api.get(DEFINITIONS)["items"]]
        return [name for name in names if name.endswith(".twinlease.io")]

    def _is_served(self, name: str) -> bool:
        return self.serves(f"{GROUP}/{name.partition('.')[0]}")

    def _let_go(self, plural: str) -> None:
        """Take the finalizers off the objects of a kind, for nobody does it."""
        until(f"{plural} are served", lambda: self.serves(f"{GROUP}/{plural}"), timeout=30.0)
        for each in self.api.get(f"{GROUP}/{plural}")["items"]:
            namespace, name = each["metadata"]["namespace"], each["metadata"]["name"]
            path = f"{GROUP}/namespaces/{namespace}/{plural}/{name}"
            self.api.patch(path, {"metadata": {"finalizers": None}})
