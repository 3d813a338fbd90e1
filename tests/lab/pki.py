"""The cluster's certificates and keys, made by the openssl program (elliptic curves: a key takes milliseconds)."""

import base64
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.shell import run

_DAYS = "3650"
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority in a directory of its own, made anew when the directory has none."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.certificate = directory / "ca.crt"
        self._key = directory / "ca.key"
        if not self.certificate.exists():
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(0o700)
            extensions = ["-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"]
            self._request(self._key, self.certificate, "/CN=twinlease-lab", extensions)

    def identity(self, name: str, subject: str, alternatives: Sequence[str] = ()) -> Identity:
        """Return the certificate `name`, for both ends of a connection, signed now if there is none yet."""
        made = Identity(self.directory / f"{name}.crt", self.directory / f"{name}.key")
        if not made.certificate.exists():
            extensions = ["-addext", "extendedKeyUsage=clientAuth,serverAuth", "-addext", "basicConstraints=CA:FALSE"]
            if alternatives:
                extensions += ["-addext", f"subjectAltName={','.join(alternatives)}"]
            signer = ["-CA", str(self.certificate), "-CAkey", str(self._key)]
            self._request(made.key, made.certificate, subject, [*signer, *extensions])
        return made

    def service_account_key(self) -> Path:
        """Return the private key that signs service account tokens."""
        key = self.directory / "sa.key"
        if not key.exists():
            curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
            run(["openssl", "genpkey", *curve, "-out", str(key)])
        return key

    def service_account_public_key(self) -> Path:
        """Return the public key that service account tokens are checked with."""
        public = self.directory / "sa.pub"
        if not public.exists():
            run(["openssl", "pkey", "-in", str(self.service_account_key()), "-pubout", "-out", str(public)])
        return public

    def kubeconfig(self, path: Path, server: str, identity: Identity) -> Path:
        """Write a kubeconfig for one user of one server, the certificates in it, and return its path."""
        path.write_text(kubeconfig(server, self.certificate, identity), encoding="utf-8")
        path.chmod(0o600)
        return path

    @staticmethod
    def _request(key: Path, certificate: Path, subject: str, arguments: Sequence[str]) -> None:
        serial = ["-set_serial", str(secrets.randbits(63))]
        files = ["-keyout", str(key), "-out", str(certificate)]
        run(["openssl", "req", "-x509", *_NEW_KEY, "-days", _DAYS, "-subj", subject, *serial, *files, *arguments])


def kubeconfig(server: str, authority: Path, identity: Identity) -> str:
    """Return a kubeconfig as JSON, which every YAML reader takes; it names no other file, so it can be moved."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority-data": _base64(authority)}}],
        "users": [
            {
                "name": "lab",
                "user": {
                    "client-certificate-data": _base64(identity.certificate),
                    "client-key-data": _base64(identity.key),
                },
            }
        ],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        "current-context": "lab",
    }
    return json.dumps(document, indent=2) + "\n"


def _base64(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
