"""Looking for DHCP servers of ours that are not our own: by the packet sockets that they answer with. packet(7)."""

from pathlib import Path

_PACKET_SOCKETS = Path("/proc/self/net/packet")
_USER, _INODE = 7, 8


def packet_sockets(uid: int, listing: Path = _PACKET_SOCKETS) -> str:
    """Return which packet sockets of a user there are in this network namespace, as a sentence; empty: none.

    To be asked while no server of our own runs: whose socket is whose cannot be told, for what the descriptors of a
    program with file capabilities stand for, not even its parent of the same user may read. Source: measured.
    """
    try:
        lines = listing.read_text(encoding="ascii").splitlines()[1:]
    except OSError as error:
        return f"{listing} cannot be read: {error.strerror}"
    found = [fields[_INODE] for fields in map(str.split, lines) if len(fields) > _INODE and fields[_USER] == str(uid)]
    return f"packet sockets of user {uid} are open: inode {', '.join(found)}" if found else ""
