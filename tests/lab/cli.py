"""The lab's command line."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tests.lab import binaries, helm, images, otherkube, packages, paths
from tests.lab.cgroups import CgroupError
from tests.lab.cluster import Lab, NotRunningError, exports, take_down
from tests.lab.leftovers import LeftoversError
from tests.lab.model import CLIENTS, NODES, PROJECT_IMAGE
from tests.lab.otherkube import VersionError
from tests.lab.packages import HostError
from tests.lab.paths import LockBusyError
from tests.lab.processes import ENDING, StartError
from tests.lab.rest import ApiError, UnreachableError
from tests.lab.shell import CommandError
from tests.lab.switch import DIRECTIONS, TARGETS
from tests.lab.waiting import NotInTimeError

_IMPATIENCE_SECONDS = 1.0
_interrupted_at = 0.0

# What a user can do something about: said in a sentence, without a traceback.
_EXPECTED = (
    ApiError,
    CgroupError,
    CommandError,
    HostError,
    LeftoversError,
    LockBusyError,
    NotInTimeError,
    NotRunningError,
    StartError,
    UnreachableError,
    VersionError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = make_parser()
    chosen = parser.parse_args(arguments)
    for number in ENDING:  # also where a shell had SIGINT ignored
        signal.signal(number, _as_interrupt)
    try:
        _COMMANDS[chosen.command](chosen)
    except _EXPECTED as error:
        sys.stderr.write(f"lab: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("lab: interrupted; everything that was started is gone again\n")
        return 130
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description="A Kubernetes cluster on this machine.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start the lab")
    up.add_argument("--force", action="store_true", help="take away an earlier lab first")
    up.add_argument("--crds", type=Path, metavar="DIR", help="apply these definitions before the controllers start")
    commands.add_parser("build", help="build what the cache lacks: Kubernetes, Helm, the base and pause images")
    kube = commands.add_parser("kube", help="build the API server of another version, for tests without nodes")
    kube.add_argument("version", help="like 1.30.14")
    commands.add_parser("down", help="take the lab away; harmless when there is none")
    commands.add_parser("image", help="build the project's image and import it into the nodes")
    commands.add_parser("env", help='print shell lines: eval "$(python -m tests.lab env)"')
    commands.add_parser("status", help="show the nodes and the faults in force")
    kubectl = commands.add_parser("kubectl", help="run kubectl on the lab's cluster")
    kubectl.add_argument("arguments", nargs=argparse.REMAINDER)
    client = commands.add_parser("exec-client", help="run a program in a client's namespace")
    client.add_argument("--client", default=CLIENTS[0].name, help="which client (default: %(default)s)")
    client.add_argument("arguments", nargs=argparse.REMAINDER)
    _add_faults(commands.add_parser("fault", help="break the lab, or mend it"))
    return parser


def _add_faults(parser: argparse.ArgumentParser) -> None:
    faults = parser.add_subparsers(dest="fault", required=True, metavar="FAULT")
    names = [node.name for node in NODES]
    for fault, explained in (
        ("power-off", "take a node's power"),
        ("power-on", "give it back"),
        ("freeze", "stop all processes of a node"),
        ("thaw", "let them go on"),
        ("wipe", "empty the disk of a node's servers"),
    ):
        faults.add_parser(fault, help=explained).add_argument("node", choices=names)
    for fault, explained in (("cut", "lose a node's traffic"), ("heal", "undo a cut")):
        one = faults.add_parser(fault, help=explained)
        one.add_argument("node", choices=names)
        one.add_argument("target", choices=TARGETS)
        one.add_argument("--one-way", choices=DIRECTIONS, help="only this direction, as the node sees it")
    faults.add_parser("split-lan", help="part the serving LAN in two")
    faults.add_parser("join-lan", help="make it one again")
    faults.add_parser("mend", help="undo every fault in force, but a wiped disk")


def _up(chosen: argparse.Namespace) -> None:
    lab = Lab.boot(force=chosen.force, crds=chosen.crds)
    sys.stdout.write(f"the lab is up: {', '.join(lab.machines)} are ready\n")


def _build(chosen: argparse.Namespace) -> None:
    del chosen
    packages.check()
    binaries.ensure()
    helm.ensure()
    images.pause()
    images.base()
    sys.stdout.write(f"everything is in {paths.cache_directory()}\n")


def _kube(chosen: argparse.Namespace) -> None:
    sys.stdout.write(f"{otherkube.ensure(chosen.version).directory}\n")


def _down(chosen: argparse.Namespace) -> None:
    del chosen
    sys.stdout.write("the lab is gone\n" if take_down() else "there is no lab\n")


def _image(chosen: argparse.Namespace) -> None:
    del chosen
    if not (paths.REPOSITORY / "Dockerfile").exists():
        raise HostError(f"{paths.REPOSITORY} has no Dockerfile")
    archive = images.project()
    Lab.attach().load_image(archive)
    sys.stdout.write(f"{PROJECT_IMAGE} is on every node\n")


def _env(chosen: argparse.Namespace) -> None:
    del chosen
    sys.stdout.write(exports(Lab.attach().env()))


def _status(chosen: argparse.Namespace) -> None:
    del chosen
    lab = Lab.attach()
    sys.stdout.write(lab.kubectl("get", "nodes", "--output=wide"))
    state = lab.state
    lines = [f"{cut.node}: {cut.target} cut, direction {cut.direction}" for cut in state.cuts]
    lines += [f"{name}: no power" for name in state.powered_off]
    lines += [f"{name}: frozen" for name in lab.machines if lab.frozen(name)]
    lines += ["the serving LAN is split"] if state.lan_split else []
    sys.stdout.write("".join(f"fault: {line}\n" for line in lines) or "no fault is in force\n")


def _kubectl(chosen: argparse.Namespace) -> NoReturn:
    env = Lab.attach().env()
    program = f"{env['PATH']}/kubectl"
    os.execve(program, [program, *_rest(chosen)], {**os.environ, "KUBECONFIG": env["KUBECONFIG"]})  # noqa: S606 - becoming kubectl


def _exec_client(chosen: argparse.Namespace) -> NoReturn:
    lab = Lab.attach()
    known = {client.name: client.namespace for client in lab.clients()}
    if chosen.client not in known:
        raise NotRunningError(f"no client {chosen.client!r}: there are {', '.join(known)}")
    command = lab.client_command(_rest(chosen) or ["sh"], known[chosen.client])
    os.execv(command[0], command)  # noqa: S606 - becoming the user's program


def _fault(chosen: argparse.Namespace) -> None:
    faults = Lab.attach().faults
    if chosen.fault in {"cut", "heal"}:
        getattr(faults, chosen.fault)(chosen.node, chosen.target, chosen.one_way)
    elif chosen.fault in {"split-lan", "join-lan", "mend"}:
        getattr(faults, chosen.fault.replace("-", "_"))()
    elif chosen.fault == "wipe":
        for name in faults.wipe(chosen.node):
            sys.stdout.write(f"removed {name}\n")
    else:
        getattr(faults, chosen.fault.replace("-", "_"))(chosen.node)


def _rest(chosen: argparse.Namespace) -> list[str]:
    words: list[str] = chosen.arguments
    return words[1:] if words[:1] == ["--"] else words


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    """End the command; a second signal right behind the first must not break into the cleaning up."""
    del number, frame
    global _interrupted_at  # noqa: PLW0603 - a signal handler has no other place to remember
    now = time.monotonic()
    if now - _interrupted_at > _IMPATIENCE_SECONDS:
        _interrupted_at = now
        raise KeyboardInterrupt


_COMMANDS = {
    "up": _up,
    "build": _build,
    "down": _down,
    "kube": _kube,
    "image": _image,
    "env": _env,
    "status": _status,
    "kubectl": _kubectl,
    "exec-client": _exec_client,
    "fault": _fault,
}
