"""The permit's cost: the API server's metrics, and the figures of windows."""

import pytest

from benchmarks import permit
from benchmarks.permit import Window

METRICS = """\
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",component="apiserver",dry_run="",group="twinlease.io",\
resource="dhcpservingleases",scope="resource",subresource="",verb="PATCH",version="v1alpha1"} 12
apiserver_request_total{code="422",component="apiserver",dry_run="",group="twinlease.io",\
resource="dhcpservingleases",scope="resource",subresource="",verb="PATCH",version="v1alpha1"} 1
apiserver_request_total{code="200",component="apiserver",dry_run="",group="twinlease.io",\
resource="dhcpservers",scope="resource",subresource="status",verb="APPLY",version="v1alpha1"} 3e+02
apiserver_request_total{code="200",component="apiserver",dry_run="",group="twinlease.io",\
resource="dhcpservers",scope="cluster",subresource="",verb="WATCH",version="v1alpha1"} 7
apiserver_request_total{code="200",component="apiserver",dry_run="",group="coordination.k8s.io",\
resource="leases",scope="resource",subresource="",verb="PUT",version="v1"} 99
apiserver_request_total_of_something_else{group="twinlease.io",verb="PATCH"} 5
"""


def window(*, kernel: bool, guard: float, writes: float = 3.0) -> Window:
    return Window(kernel, {"guard": guard, "sidecar": 1.0, "dhcpd": 0.0}, {"dhcpservingleases": writes})


def test_writes_of_our_objects_are_counted_by_resource_and_nothing_else_is() -> None:
    assert permit.writes(METRICS) == {"dhcpservingleases": 13, "dhcpservers/status": 300}


def test_the_cost_is_the_difference_of_means_for_one_server() -> None:
    found = permit.figures(
        [
            window(kernel=True, guard=0.8, writes=4.0),
            window(kernel=False, guard=0.2, writes=9.0),
            window(kernel=False, guard=0.4, writes=9.0),
            window(kernel=True, guard=1.0),
        ]
    )
    values = {each.name: each.value for each in found}
    assert values["guard: CPU with the kernel's fence"] == pytest.approx(0.45)
    assert values["guard: CPU with the process's only"] == pytest.approx(0.15)
    assert values["guard: CPU of the kernel's fence"] == pytest.approx(0.3)
    assert values["sidecar: CPU of the kernel's fence"] == 0.0
    assert values["API writes: dhcpservingleases"] == pytest.approx(3.5)


def test_the_turns_cancel_a_steady_drift() -> None:
    numbers = {
        kernel: [number for number, each in enumerate(permit.TURNS) if each is kernel] for kernel in (True, False)
    }
    assert sum(numbers[True]) == sum(numbers[False])
    assert permit.TURNS[0]  # the pair begins with the kernel's fence
