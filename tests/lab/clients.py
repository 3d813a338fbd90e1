"""DHCP clients on the serving LAN: Debian's own programs, one lease each, and a quick prober for many leases.

Nothing here needs a whole lab: any network namespace with an interface on a LAN will do.
"""

import os
import secrets
import select
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.lab import dhcp, netns
from tests.lab.dhcp import Kind, Message, Option
from tests.lab.processes import in_namespace
from tests.lab.shell import CommandError, program, run

_ETH_P_IP = 0x0800
_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, _PACKET_MR_PROMISC, _PACKET_IGNORE_OUTGOING = 263, 1, 1, 23
_MOST_CLIENTS = 5000
_AT_A_TIME = 64  # a server's socket buffer holds so many, whatever it is busy with
_RETRY_SECONDS = 2.0
_WANTED = bytes([1, 3, 6, 15, 51, 54])  # subnet mask, routers, name servers, domain, lease time, server


class NoLeaseError(RuntimeError):
    """A client got no lease."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What a client was given; `options` are the client program's own words for the rest."""

    address: str
    server: str
    seconds: int
    options: dict[str, str] = field(default_factory=dict, compare=False)


def random_mac() -> str:
    """Return a hardware address of the locally administered kind, other than any the lab uses itself."""
    return "06:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(5))


@contextmanager
def interface(namespace: str, mac: str, link: str = "eth0") -> Iterator[str]:
    """Have an interface with that hardware address on the LAN for the length of a block; gives its name."""
    name = "m" + mac.replace(":", "")
    ip = ["ip", "-n", namespace, "link"]
    run([*ip, "add", "link", link, "name", name, "address", mac, "type", "macvlan", "mode", "bridge"])
    try:
        run([*ip, "set", name, "up"])
        yield name
    finally:
        run([*ip, "delete", name])


def udhcpc(namespace: str, mac: str | None = None, *, timeout: float = 30.0, extra: Iterable[str] = ()) -> Lease:
    """Get one lease with busybox's client; the lease is neither released nor renewed afterwards."""
    with interface(namespace, mac or random_mac()) as name, _script('[ "$1" = bound ] && env || true') as script:
        command = ["env", "-i", f"PATH={os.environ['PATH']}", program("udhcpc")]  # its script tells its environment
        options = ["-i", name, "-f", "-n", "-q", "-t", str(max(1, int(timeout / 2))), "-T", "2", "-A", "1"]
        try:
            said = run(in_namespace(namespace, [*command, *options, "-s", str(script), *extra]), timeout=timeout)
        except CommandError as error:
            raise NoLeaseError(str(error)) from error
    return udhcpc_lease(said)


def udhcpc_lease(said: str) -> Lease:
    """Read the environment that udhcpc gave its script."""
    values = _variables(said)
    if not {"ip", "serverid", "lease"} <= values.keys():
        raise NoLeaseError(f"udhcpc was not bound:\n{said}")
    return Lease(values["ip"], values["serverid"], int(values["lease"]), values)


def dhclient(namespace: str, mac: str | None = None, *, timeout: float = 30.0, configuration: str = "") -> Lease:
    """Get one lease with ISC's client; the lease is neither released nor renewed afterwards."""
    notice = '[ "$reason" = BOUND ] || exit 0; env > "$0.partial"; mv "$0.partial" "$0.bound"'
    with interface(namespace, mac or random_mac()) as name, _script(notice) as script:
        files = {option: script.with_name(f"dhclient.{option}") for option in ("cf", "lf", "pf")}
        files["cf"].write_text(f"initial-interval 1;\ntimeout {int(timeout)};\n{configuration}\n", encoding="utf-8")
        places = [word for option, file in files.items() for word in (f"-{option}", str(file))]
        # In the foreground, because a client in the background could not be told from another one's.
        command = [program("dhclient"), "-4", "-1", "-d", *places, "-sf", str(script), name]
        bound = script.with_name(f"{script.name}.bound")
        return dhclient_lease(_run_until(in_namespace(namespace, command), bound, timeout))


def dhclient_lease(said: str) -> Lease:
    """Read the environment that dhclient gave its script."""
    values = {key.removeprefix("new_"): value for key, value in _variables(said).items() if key.startswith("new_")}
    wanted = ("ip_address", "dhcp_server_identifier", "dhcp_lease_time")
    if any(key not in values for key in wanted):
        raise NoLeaseError(f"dhclient was not bound:\n{said}")
    address, server, seconds = (values[key] for key in wanted)
    return Lease(address, server, int(seconds), values)


def acquire_many(
    namespace: str,
    count: int,
    *,
    timeout: float = 30.0,
    macs: Iterable[str] | None = None,
    link: str = "eth0",
) -> dict[str, Lease]:
    """Get leases for many made-up clients from one raw socket; returns those got in time, by hardware address."""
    addresses = list(macs) if macs is not None else [random_mac() for _ in range(count)]
    if len(addresses) != count or not 0 < count <= _MOST_CLIENTS:
        raise ValueError(
            f"{count} clients with {len(addresses)} addresses: want 1 to {_MOST_CLIENTS}, one address each"
        )
    with _raw_socket(namespace, link) as raw:
        return _Prober(raw, addresses).run(timeout)


def offers(namespace: str, mac: str, *, wait: float = 3.0, seconds: int = 10, link: str = "eth0") -> dict[str, str]:
    """Ask once, and return who offered what within `wait` seconds: server identifier -> address.

    `seconds` is how long the client says it has been trying: servers that share the load by hash all answer one that
    has been trying for long.
    """
    found: dict[str, str] = {}
    client = _Client(mac)
    with _raw_socket(namespace, link) as raw:
        raw.send(dhcp.client_frame(replace(client.message(client.began), seconds=seconds)))
        deadline = time.monotonic() + wait
        while (left := deadline - time.monotonic()) > 0 and select.select([raw], [], [], left)[0]:
            reply = dhcp.parse_reply(raw.recv(4096))
            if reply and reply.kind is Kind.OFFER and reply.transaction == client.transaction and reply.server:
                found[reply.server] = reply.address
    return found


@dataclass
class _Client:
    """One made-up client between its first message and its lease."""

    mac: str
    transaction: int = field(default_factory=lambda: secrets.randbits(32))
    began: float = field(default_factory=time.monotonic)
    offer: Message | None = None
    resend_at: float = 0.0

    @property
    def hardware(self) -> bytes:
        return bytes.fromhex(self.mac.replace(":", ""))

    def message(self, now: float) -> Message:
        """Return what the client says now: that it looks for a server, or that it wants what one offered."""
        options: dict[int, bytes] = {Option.PARAMETERS: _WANTED}
        kind = Kind.DISCOVER
        if self.offer is not None:
            kind = Kind.REQUEST
            options[Option.REQUESTED_ADDRESS] = dhcp.address_bytes(self.offer.address)
            options[Option.SERVER] = self.offer.options[Option.SERVER]
        return Message(kind, self.transaction, self.hardware, seconds=int(now - self.began), options=options)

    def start_again(self) -> None:
        """Forget an offer that came to nothing."""
        self.offer = None
        self.transaction = secrets.randbits(32)


class _Prober:
    """Walks all clients through DISCOVER, OFFER, REQUEST, ACK, some at a time."""

    def __init__(self, raw: socket.socket, macs: list[str]) -> None:
        self._raw = raw
        self._waiting = list(reversed(macs))
        self._busy: dict[bytes, _Client] = {}
        self._leases: dict[str, Lease] = {}

    def run(self, timeout: float) -> dict[str, Lease]:
        """Return the leases got within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while (now := time.monotonic()) < deadline and (self._waiting or self._busy):
            while self._waiting and len(self._busy) < _AT_A_TIME:
                client = _Client(self._waiting.pop())
                self._busy[client.hardware] = client
            self._send_due(now)
            due = min(client.resend_at for client in self._busy.values())
            if select.select([self._raw], [], [], max(0.0, min(due, deadline) - now))[0]:
                self._receive()
        return self._leases

    def _send_due(self, now: float) -> None:
        for client in self._busy.values():
            if client.resend_at > now:
                continue
            if client.offer is not None and client.resend_at:
                client.start_again()  # asked once already, and no answer: that server may be gone
            self._send(client, now)

    def _send(self, client: _Client, now: float) -> None:
        client.resend_at = now + _RETRY_SECONDS
        self._raw.send(dhcp.client_frame(client.message(now)))

    def _receive(self) -> None:
        reply = dhcp.parse_reply(self._raw.recv(4096))
        client = self._busy.get(reply.mac) if reply else None
        if reply is None or client is None or reply.transaction != client.transaction or reply.server is None:
            return
        now = time.monotonic()
        if reply.kind is Kind.OFFER and client.offer is None:
            client.offer = reply
            self._send(client, now)
        elif reply.kind is Kind.NAK and client.offer is not None:
            client.start_again()
            client.resend_at = now
        elif reply.kind is Kind.ACK and client.offer is not None:
            del self._busy[reply.mac]
            self._leases[client.mac] = Lease(reply.address, reply.server, reply.lease_seconds or 0)


@contextmanager
def _raw_socket(namespace: str, link: str) -> Iterator[socket.socket]:
    """Have a socket that hears and says everything on an interface of a namespace."""
    with netns.entered(netns.path(namespace)):
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_IP))
        index = socket.if_nametoindex(link)
    with raw:
        raw.bind((link, _ETH_P_IP))
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        raw.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        request = index.to_bytes(4, "little") + _PACKET_MR_PROMISC.to_bytes(2, "little") + bytes(10)
        raw.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, request)
        yield raw


@contextmanager
def _script(body: str) -> Iterator[Path]:
    """Have a shell script, in a directory of its own."""
    directory = Path(tempfile.mkdtemp(prefix="twinlease-client-"))
    try:
        script = directory / "script"
        script.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        script.chmod(0o700)
        yield script
    finally:
        shutil.rmtree(directory)


def _run_until(argv: list[str], bound: Path, timeout: float) -> str:
    """Run a program until a file appears, kill it, and return what is in the file."""
    deadline = time.monotonic() + timeout
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            while not bound.exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
        finally:
            process.kill()
            _, errors = process.communicate()
    if not bound.exists():
        raise NoLeaseError(f"{' '.join(argv)}: no lease\n{errors.decode(errors='replace')}")
    return bound.read_text(encoding="utf-8")


def _variables(environment: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in environment.splitlines() if "=" in line)
