"""What the permit to answer costs while nothing happens, beside the same pair without the kernel's part of it.

The pair beside is one whose guard lacks NET_ADMIN, so that only its own clock and a signal end its server: the
process-only fence. That comparison shows what the kernel's costs, which a guard renews three times a second. (A permit
without end, `isolation: Serve`, would show next to nothing: sidecars renew it and ask for promises all the same, and
the guard goes on renewing it in the kernel. Those costs are in the figures of both.)
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import procfs
from benchmarks.report import Figure
from benchmarks.stage import Stage, await_calm, say
from tests.e2e.world import PAIR
from tests.lab import images
from tests.lab.model import PROJECT_IMAGE
from tests.lab.waiting import until
from twinlease.model.states import Role

WINDOW_SECONDS = 80.0
"""Two renewals of each server: at the default duration of 4 minutes there is one every 40 s."""
PROCESS_IMAGE = "localhost/twinlease:process-fence"
TURNS = (True, False, False, True)
"""Whether the kernel fences, window by window."""

_PARTS = ("guard", "sidecar", "dhcpd")
_GUARD = "/usr/lib/twinlease/bin/guard-python"
# Capabilities by their numbers, as `setcap` writes them: NET_BIND_SERVICE and NET_RAW, permitted, no others.
_CAPABILITIES = "struct.pack('<5I', 0x02000000, 1 << 10 | 1 << 13, 0, 0, 0)"
_CALM, _CALM_SECONDS, _SETTLE_SECONDS = 0.05, 120.0, 5.0
_CHANGED_SECONDS = 120.0
_WRITES = ("PATCH", "PUT", "POST", "DELETE", "APPLY")


@dataclass(frozen=True, slots=True)
class Window:
    """A while at rest.

    Attributes:
        kernel: Whether the kernel fenced.
        core_percent: By component, of both servers together, in per cent of a core.
        writes: Of the API, a minute, by resource: those of the whole pair, the operator's included.
    """

    kernel: bool
    core_percent: dict[str, float]
    writes: dict[str, float]


def measure(stage: Stage, record: dict[str, Any]) -> list[Figure]:
    """Watch the pair with either fence in turn; return the figures, and put every window into the record."""
    windows: list[Window] = record.setdefault("windows", [])
    stage.lab.load_image(_without_net_admin(images.project()))
    stage.apply(stage.example())
    stage.await_normal()
    fenced = True
    for number, kernel in enumerate(TURNS):
        if kernel != fenced:
            stage.world.patch("dfp", PAIR, {"image": PROJECT_IMAGE if kernel else PROCESS_IMAGE})
            fenced = kernel
        _await_fence(stage, kernel=kernel)
        windows.append(_observe(stage, kernel=kernel))
        say(f"permit: window {number + 1} of {len(TURNS)}: {_told(windows[-1])}")
    return figures(windows)


def figures(windows: Sequence[Window]) -> list[Figure]:
    """Return the figures of windows: means, and the differences between the two kinds. Pure."""
    found = []
    with_kernel, without = ([each for each in windows if each.kernel is kernel] for kernel in (True, False))
    note = f"each of both servers; {len(with_kernel)} + {len(without)} windows of {WINDOW_SECONDS:g} s, ABBA"
    for part in _PARTS:
        one, other = ([each.core_percent[part] / len(Role) for each in kind] for kind in (with_kernel, without))
        unit = "% of a core"
        found += [
            Figure("permit", f"{part}: CPU with the kernel's fence", _mean(one), unit, None, note),
            Figure("permit", f"{part}: CPU with the process's only", _mean(other), unit, None, note),
            Figure("permit", f"{part}: CPU of the kernel's fence", _mean(one) - _mean(other), unit),
        ]
    for resource in sorted({name for each in windows for name in each.writes}):
        values = [each.writes.get(resource, 0.0) for each in with_kernel]
        found.append(Figure("permit", f"API writes: {resource}", _mean(values), "/min", None, "of the whole pair"))
    return found


def writes(metrics: str) -> dict[str, int]:
    """Return how often the API server has written our objects, by resource, from the text of its metrics. Pure."""
    found: dict[str, int] = {}
    for line in metrics.splitlines():
        if not line.startswith("apiserver_request_total{"):
            continue
        inside, _, value = line.partition("{")[2].rpartition("} ")
        labels = dict(part.split("=", 1) for part in inside.split(",") if "=" in part)
        told = {key: text.strip('"') for key, text in labels.items()}
        if told.get("group") == "twinlease.io" and told.get("verb") in _WRITES:
            resource = "/".join(filter(None, (told.get("resource"), told.get("subresource"))))
            found[resource] = found.get(resource, 0) + int(float(value))
    return found


def _without_net_admin(archive: Path) -> Path:
    """Return the archive of the project's image whose guard lacks NET_ADMIN, built if the cache does not have it."""
    script = f"import os, struct; os.setxattr('{_GUARD}', 'security.capability', {_CAPABILITIES})"
    with tempfile.TemporaryDirectory(prefix="twinlease-process-fence-") as directory:
        lines = [f"FROM oci-archive:{archive}", "USER 0", f'RUN python3 -c "{script}"', "USER 6767:6767", ""]
        Path(directory, "Dockerfile").write_text("\n".join(lines), encoding="utf-8")
        return images.project(Path(directory), PROCESS_IMAGE)


def _await_fence(stage: Stage, *, kernel: bool) -> None:
    wanted = [kernel] * len(Role)
    until("both go by the fence that was chosen", lambda: _fences(stage) == wanted, timeout=_CHANGED_SECONDS, every=0.5)
    stage.await_normal()


def _fences(stage: Stage) -> list[bool]:
    """Return of which servers the kernel is proven to fence, by what they confirmed."""
    servers = stage.world.get("dhcpservinglease", PAIR)["spec"]["servers"]
    return [bool(servers[role].get("own", {}).get("inForce", {}).get("kernelFence")) for role in Role]


def _observe(stage: Stage, *, kernel: bool) -> Window:
    """Watch the pair for a window, once it has calmed down.

    Raises:
        OSError: A process ended meanwhile: that is no rest.
    """
    pids: dict[str, list[int]] = {part: [] for part in _PARTS}
    for server in stage.servers():
        for part, found in stage.server_parts(server["metadata"]["name"]).items():
            pids[part] += found.pids
    await_calm([pid for each in pids.values() for pid in each], share=_CALM, timeout=_CALM_SECONDS)
    time.sleep(_SETTLE_SECONDS)
    used = _counting(lambda: {part: procfs.cpu_seconds(each) for part, each in pids.items()})
    written = _counting(lambda: writes(stage.lab.kubectl("get", "--raw", "/metrics")))
    began = time.monotonic()
    time.sleep(WINDOW_SECONDS)
    cpu, seconds = used(), time.monotonic() - began
    return Window(
        kernel,
        {part: value / seconds * 100 for part, value in cpu.items()},
        {resource: value / seconds * 60 for resource, value in written().items()},
    )


def _counting(count: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """Count now; return what tells how much more it has become."""
    before = count()
    return lambda: {name: value - before.get(name, 0) for name, value in count().items()}


def _told(window: Window) -> str:
    cpu = ", ".join(f"{part} {value:.2f} %" for part, value in window.core_percent.items())
    return f"{'kernel' if window.kernel else 'process'}: {cpu}; {sum(window.writes.values()):.1f} writes/min"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
