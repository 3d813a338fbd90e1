"""`make demo`: from nothing to a leased address, and through the loss of a node; each step with its time.

What succeeds is left running for the user to play with (`make demo-down` takes it away); what fails, or is
interrupted, takes the lab away itself.
"""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tests.lab import binaries, clients, images, paths
from tests.lab.cluster import Lab
from tests.lab.demo_failure import fail_and_return, hurried
from tests.lab.model import CLIENTS

_READY = "180s"
_STARTED = time.monotonic()


@contextmanager
def step(what: str) -> Iterator[None]:
    """Print a step, and how long it took."""
    sys.stdout.write(f"{what:<68}")
    sys.stdout.flush()
    began = time.monotonic()
    yield
    sys.stdout.write(f"{time.monotonic() - began:7.1f} s\n")
    sys.stdout.flush()


def show(lab: Lab, *arguments: str) -> None:
    """Print a kubectl command and what it says."""
    sys.stdout.write(f"\n$ kubectl {' '.join(arguments)}\n{lab.kubectl(*arguments)}")


def demo() -> None:
    """Bring everything up and show it."""
    with step("Build Kubernetes (about five minutes the first time)"):
        binaries.ensure()
    with step("Build the image from the Dockerfile"):
        archive = images.project()
    with step("Start three nodes"):
        lab = Lab.boot(crds=paths.REPOSITORY / "crds")
    try:
        play(lab, archive)
    except BaseException:
        show_failure(lab)
        lab.down()
        raise


def play(lab: Lab, archive: Path) -> None:
    """Install the operator, apply the example pair, lease an address."""
    with step("Import the image into the nodes"):
        lab.load_image(archive)
    with step("Install the operator (manifests/), two replicas"):
        lab.kubectl("apply", "--filename", str(paths.REPOSITORY / "manifests"))
        lab.kubectl("wait", "--for=condition=Available", f"--timeout={_READY}", "deployment/twinlease-operator",
                    "--namespace=twinlease-system", timeout=200)  # fmt: skip
    with step("Apply examples/pair.yaml, with timers of seconds, and wait until both are normal"):
        example = paths.REPOSITORY / "examples" / "pair.yaml"
        lab.kubectl("apply", "--filename=-", stdin=hurried(example))
        lab.kubectl("wait", "--for=condition=Redundant", f"--timeout={_READY}", "dfp/lan", timeout=200)
    with step("Let udhcpc get an address on the serving LAN"):
        lease = clients.udhcpc(CLIENTS[0].namespace)
    sys.stdout.write(f"    {lease.address} from {lease.server}, for {lease.seconds} s\n")
    show(lab, "get", "dhcp", "-o", "wide")
    show(lab, "get", "pods", "-o", "wide")
    sys.stdout.write(
        f"\nA client has an address, {time.monotonic() - _STARTED:.0f} s after the start. Now a node dies.\n"
    )
    safe = fail_and_return(lab)
    show(lab, "get", "dfp,dlease")
    if not safe:
        raise RuntimeError("an address had two owners: see above")
    sys.stdout.write("""
What to try next:
  eval "$(make -s lab-env)"                         # kubectl now talks to this cluster
  kubectl describe dfp lan                          # the pair, and what was decided about it, in words
  kubectl edit dpool lan                            # widen a range: one server at a time follows
  ip netns exec $LAB_CLIENT_NETNS udhcpc -f -q -i eth0 -s /bin/true
  .venv/bin/python -m tests.lab fault power-off n2  # then: kubectl get dhcp -o wide
  .venv/bin/python -m tests.lab fault power-on n2
  make demo-down                                    # leave nothing behind
""")


def show_failure(lab: Lab) -> None:
    """Print what helps to see why it failed."""
    for arguments in (
        ["get", "dhcp,pods", "-A", "-o", "wide"],
        ["get", "events", "-A"],
        ["logs", "--namespace=twinlease-system", "deployment/twinlease-operator", "--tail=30"],
    ):
        try:
            show(lab, *arguments)
        except Exception as error:  # noqa: BLE001  # the first failure is the one to report
            sys.stdout.write(f"(no answer: {error})\n")


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


def main() -> int:
    """Run the demo and return the exit status."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        demo()
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; the lab is gone\n")
        return 130
    except Exception as error:  # noqa: BLE001  # whatever it is, the user wants its message, not our stack
        sys.stderr.write(f"\nthe demo failed, and the lab is gone: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
