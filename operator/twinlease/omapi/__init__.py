"""dhcpd's control protocol: sessions with a deadline, over the one library that speaks it."""

from twinlease.omapi.session import OmapiSession, connect

__all__ = ["OmapiSession", "connect"]
