"""The jig as a fixture."""

from collections.abc import Iterator

import pytest

from tests.net.client import Clients
from tests.net.jig import Jig
from tests.net.services import PRIMARY, SECONDARY


@pytest.fixture
def jig() -> Iterator[Jig]:
    """A LAN with two servers that do not run yet."""
    with Jig(PRIMARY, SECONDARY) as made:
        yield made


@pytest.fixture
def clients(jig: Jig) -> Iterator[Clients]:
    """A crowd of clients on the jig's LAN."""
    with Clients.on(jig.clients) as crowd:
        yield crowd
