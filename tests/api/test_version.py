"""The tests ran against the version of Kubernetes that was asked for."""

import os
import re

from tests.lab.apiserver import ApiServer
from tests.lab.binaries import KUBE_SOURCES
from tests.lab.otherkube import VARIABLE
from tests.lab.rest import Rest


def test_the_server_is_of_the_version_that_was_asked_for(server: ApiServer, api: Rest) -> None:
    pinned = re.search(r"k8s\.io/kubernetes v(\S+)", (KUBE_SOURCES / "go.mod").read_text(encoding="utf-8"))
    assert pinned
    wanted = f"v{os.environ.get(VARIABLE) or pinned[1]}"
    assert api.get("/version")["gitVersion"] == wanted
    assert f"Client Version: {wanted}" in server.kubectl("version")
