"""What a reconciliation wants done, in order, as data."""

from typing import TypeAlias

from msgspec import Struct

from twinlease.kube.protocol import Json, Resource


class Create(Struct, frozen=True, kw_only=True):
    """Make an object if there is none of its name; one that is there stays as it is."""

    resource: Resource
    body: Json


class Once(Struct, frozen=True, kw_only=True):
    """As ``Create``, for a kind that is not watched: tried once by each leader for each ``token``."""

    resource: Resource
    body: Json
    token: str


class Apply(Struct, frozen=True, kw_only=True):
    """Server-side apply; ``new``: only if there is none of its name, of which the API itself is asked."""

    resource: Resource
    body: Json
    subresource: str | None = None
    new: bool = False


class Swap(Struct, frozen=True, kw_only=True):
    """Compare-and-swap: replace the very version that the decision was made from, or create where there was none."""

    resource: Resource
    body: Json


class Delete(Struct, frozen=True, kw_only=True):
    """Delete one very object; that it is gone already is fine."""

    resource: Resource
    namespace: str
    name: str
    uid: str


Step: TypeAlias = Create | Once | Apply | Swap | Delete
