"""The host's packages the lab needs: a list in packages.txt, and saying clearly which one is missing."""

import os
import shutil
from collections.abc import Callable, Iterable

from tests.lab import paths
from tests.lab.shell import CommandError
from tests.lab.shell import program as find_program

# The program by which a package is known to be there; a package without one is a library or data.
PROGRAMS = {
    "containerd": "containerd",
    "runc": "runc",
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
    "iproute2": "ip",
    "nftables": "nft",
    "openssl": "openssl",
    "util-linux": "setpriv",
    "e2fsprogs": "mkfs.ext4",
    "prometheus": "promtool",
    "gcc": "gcc",
    "libcap2-bin": "setcap",
    "busybox": "busybox",
    "isc-dhcp-client": "dhclient",
    "isc-dhcp-server": "dhcpd",
    "kea-admin": "perfdhcp",
    "udhcpc": "udhcpc",
}
FILES = {
    "containernetworking-plugins": "/usr/lib/cni/host-local",
    "libc6-dev": "/usr/include/time.h",
    "ca-certificates": "/etc/ssl/certs/ca-certificates.crt",
}


class HostError(RuntimeError):
    """This machine cannot run the lab as it is; the message says what to do."""


def listed(text: str) -> list[str]:
    """Return the package names in the text of packages.txt."""
    return [line for raw in text.splitlines() if (line := raw.partition("#")[0].strip())]


def missing(packages: Iterable[str], has_program: Callable[[str], bool], has_file: Callable[[str], bool]) -> list[str]:
    """Return those of the packages that are not installed."""
    found = []
    for package in packages:
        there = has_program(PROGRAMS[package]) if package in PROGRAMS else has_file(FILES[package])
        if not there:
            found.append(package)
    return found


def check() -> None:
    """Raise when this machine lacks something, naming it and the remedy."""
    if os.geteuid() != 0:
        raise HostError("the lab makes namespaces, mounts and control groups: run it as root")
    packages = listed((paths.LAB_SOURCES / "packages.txt").read_text(encoding="utf-8"))
    lacking = missing(packages, _has_program, os.path.exists)
    if lacking:
        raise HostError(f"missing packages: {' '.join(lacking)}\nInstall them with `make system-packages`.")
    if shutil.which("go") is None:
        raise HostError("missing: the Go toolchain (`go` on PATH), which builds the Kubernetes components")


def _has_program(name: str) -> bool:
    try:
        find_program(name)
    except CommandError:
        return False
    return True
