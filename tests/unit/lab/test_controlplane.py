"""Certificates and the forwarder, on this machine's loopback."""

import asyncio
import base64
import json
import re
import socket
from pathlib import Path

import pytest

from tests.lab import forwarder
from tests.lab.binaries import Binaries
from tests.lab.controlplane import ControlPlane, Endpoint
from tests.lab.pki import Authority
from tests.lab.shell import CommandError, background, run, succeeds


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


def test_certificates_are_signed_by_the_authority_and_kept(authority: Authority, tmp_path: Path) -> None:
    made = authority.identity("server", "/O=group/CN=me", ["DNS:lab", "IP:10.0.0.1"])
    verify = ["openssl", "verify", "-CAfile", str(authority.certificate), "-purpose", "sslserver"]
    assert succeeds([*verify, "-verify_ip", "10.0.0.1", str(made.certificate)])
    assert not succeeds([*verify, "-verify_ip", "10.0.0.2", str(made.certificate)])
    other = Authority(tmp_path / "other").identity("server", "/CN=me")
    assert not succeeds([*verify, str(other.certificate)])
    before = made.certificate.read_bytes()
    assert Authority(authority.directory).identity("server", "/CN=changed").certificate.read_bytes() == before


def test_a_kubeconfig_needs_no_other_file(authority: Authority, tmp_path: Path) -> None:
    path = authority.kubeconfig(tmp_path / "config", "https://127.0.0.1:1", authority.identity("a", "/CN=a"))
    document = json.loads(path.read_text(encoding="utf-8"))
    authority_data = document["clusters"][0]["cluster"]["certificate-authority-data"]
    assert base64.b64decode(authority_data) == authority.certificate.read_bytes()
    assert path.stat().st_mode & 0o077 == 0


def test_the_api_server_is_known_by_every_address_it_is_called_by(tmp_path: Path) -> None:
    plane = ControlPlane(Binaries(Path("/bin")), tmp_path, Endpoint("10.240.0.1", "0.0.0.0", 443, 1, 2))
    plane.api_server()
    names = run(["openssl", "x509", "-in", str(tmp_path / "pki/apiserver.crt"), "-noout", "-ext", "subjectAltName"])
    assert set(re.findall(r"IP Address:(\S+?)(?:,|\s|$)", names)) == {"127.0.0.1", "10.96.0.1", "10.240.0.1"}


def test_the_forwarder_passes_on_both_ways_and_half_closes() -> None:
    async def conversation() -> bytes:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"heard " + await reader.read())  # answers only when the question has ended
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        listener = socket.create_server(("127.0.0.1", 0))
        forwarding = asyncio.create_task(forwarder.serve(listener, server.sockets[0].getsockname()))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"x" * 300_000)
        writer.write_eof()
        heard = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        forwarding.cancel()
        server.close()
        await asyncio.gather(forwarding, return_exceptions=True)
        return heard

    assert asyncio.run(conversation()) == b"heard " + b"x" * 300_000


def test_a_failing_program_is_quoted() -> None:
    with pytest.raises(CommandError, match=r"(?s)sh -c .*: exit status 3.*no such luck"):
        run(["sh", "-c", "echo no such luck >&2; exit 3"])
    with pytest.raises(CommandError, match="not found"):
        run(["no-such-program-anywhere"])
    with pytest.raises(CommandError, match=r"no end after 0\.2 s"):
        run(["sleep", "30"], timeout=0.2)
    with pytest.raises(CommandError, match="exit status 1"), background(["false"], timeout=5):
        pass
