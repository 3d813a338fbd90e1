"""Fetching a rendered configuration, and having the server's own parser check it."""

import contextlib
import hashlib
from pathlib import Path

from twinlease.api.server import WantedConfig
from twinlease.engines.protocol import CheckError, Engine
from twinlease.kube.client import Client
from twinlease.kube.protocol import CONFIG_MAPS, ApiError
from twinlease.sidecar.observed import Candidate, Verdict

KEY = "config"
"""Data key of the ConfigMaps."""


class ConfigSource:
    """Brings wanted configurations to where the guard takes them.

    Args:
        client: The API.
        namespace: Of the ConfigMaps.
        directory: The candidates' directory.
    """

    def __init__(self, client: Client, namespace: str, directory: Path) -> None:
        self._client = client
        self._namespace = namespace
        self._directory = directory

    def obtain(self, wanted: WantedConfig, engine: Engine) -> Candidate:
        """Return what became of a wanted configuration; it is on disk if it was accepted."""
        try:
            text = "".join(map(self._chunk, wanted.config_maps)).encode()
        except ApiError as error:
            return Candidate(revision=wanted.revision, verdict=Verdict.UNREADABLE, message=str(error))
        digest = hashlib.sha256(text).hexdigest()
        if digest != wanted.revision:
            message = f"the ConfigMaps hold {digest}, not {wanted.revision}"
            return Candidate(revision=wanted.revision, verdict=Verdict.DIGEST_MISMATCH, message=message)
        try:
            return self._checked(self._write(wanted.revision, text), engine)
        except OSError as error:
            return Candidate(revision=wanted.revision, verdict=Verdict.UNREADABLE, message=f"cannot write it: {error}")

    def _chunk(self, name: str) -> str:
        found = self._client.get(CONFIG_MAPS, name, self._namespace)
        text = (found.get("data") or {}).get(KEY)
        if not isinstance(text, str):
            raise ApiError(0, "", f"ConfigMap {name} has no key {KEY}")
        return text

    def _write(self, revision: str, text: bytes) -> Path:
        """Write a candidate, whole or not at all, and remove the others."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        path = self._directory / revision
        fresh = self._directory / f".{revision}"
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_bytes(text)
        fresh.replace(path)
        for other in self._directory.iterdir():
            if other != path:
                with contextlib.suppress(OSError):
                    other.unlink()
        return path

    def _checked(self, path: Path, engine: Engine) -> Candidate:
        try:
            result = engine.check(path)
        except CheckError as error:
            return Candidate(revision=path.name, verdict=Verdict.UNREADABLE, message=str(error))
        verdict = Verdict.ACCEPTED if result.accepted else Verdict.REJECTED
        return Candidate(revision=path.name, verdict=verdict, message=result.message)
