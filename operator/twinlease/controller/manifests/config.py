"""A rendered configuration as content-addressed, immutable ConfigMaps."""

import hashlib
from collections.abc import Iterator

from msgspec import Struct

from twinlease.controller.manifests.common import Owner, metadata
from twinlease.controller.objects import LABEL_SERVER
from twinlease.kube.protocol import Json
from twinlease.model.states import Role

CHUNK_BYTES = 900_000
"""Of UTF-8; a ConfigMap holds 1 MiB with everything around it."""

KEY = "config"
LABEL_REVISION = "twinlease.io/revision"
_SHORT = 12


class Revision(Struct, frozen=True, kw_only=True):
    """A configuration text under its own hash, in chunks that together are the text."""

    revision: str
    chunks: tuple[str, ...]

    def names(self, server: str) -> tuple[str, ...]:
        """Return the names of its ConfigMaps, in order."""
        return tuple(f"{server}-{self.revision[:_SHORT]}-{index}" for index in range(len(self.chunks)))


def revision(text: str, limit: int = CHUNK_BYTES) -> Revision:
    """Return a configuration with its hash and chunks."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Revision(revision=digest, chunks=tuple(_chunks(text, limit)) or ("",))


def short(full: str) -> str:
    """Return the part of a revision that names and labels carry."""
    return full[:_SHORT]


def config_maps(owner: Owner, role: Role, wanted: Revision) -> list[Json]:
    """Return the ConfigMaps that hold a configuration."""
    server = owner.server(role)
    labels = {LABEL_SERVER: server, LABEL_REVISION: short(wanted.revision)}
    return [
        {"metadata": metadata(owner, name, role, labels=labels), "immutable": True, "data": {KEY: chunk}}
        for name, chunk in zip(wanted.names(server), wanted.chunks, strict=True)
    ]


def _chunks(text: str, limit: int) -> Iterator[str]:
    """Cut at line ends; a single line beyond the limit (there is none in a configuration) stays whole."""
    part: list[str] = []
    size = 0
    for line in text.splitlines(keepends=True):
        length = len(line.encode())
        if part and size + length > limit:
            yield "".join(part)
            part, size = [], 0
        part.append(line)
        size += length
    if part:
        yield "".join(part)
