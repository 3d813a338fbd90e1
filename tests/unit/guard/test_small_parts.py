"""The pod's token, and the look at others."""

from pathlib import Path

import pytest

from twinlease.guard.others import packet_sockets
from twinlease.guard.token import pod_token

LISTING = """sk               RefCnt Type Proto  Iface R Rmem   User   Inode
ffff888107a1c000 3      3    0800   2     1 0      6767   41234
ffff888107a1d000 3      3    0003   0     1 0      0      41235
ffff888107a1e000 3      3    0800   2     1 0      67670  41236
"""


def test_packet_sockets_are_told_by_their_user(tmp_path: Path) -> None:
    listing = tmp_path / "packet"
    listing.write_text(LISTING, encoding="ascii")
    assert packet_sockets(6767, listing) == "packet sockets of user 6767 are open: inode 41234"
    assert packet_sockets(676, listing) == ""
    assert "cannot be read" in packet_sockets(6767, tmp_path / "none")


def test_a_token_is_made_once(tmp_path: Path) -> None:
    token = pod_token(tmp_path / "token")
    assert len(bytes.fromhex(token)) >= 16
    assert pod_token(tmp_path / "token") == token
    (tmp_path / "token").unlink()
    assert pod_token(tmp_path / "token") != token


@pytest.mark.parametrize("torn", ["", "0123", "x" * 32])
def test_half_a_token_is_none(tmp_path: Path, torn: str) -> None:
    (tmp_path / "token").write_text(torn, encoding="ascii")
    (tmp_path / ".token.new").write_text("left by a crash", encoding="ascii")
    token = pod_token(tmp_path / "token")
    assert token != torn
    assert pod_token(tmp_path / "token") == token


def test_without_its_directory_there_is_no_token(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        pod_token(tmp_path / "none" / "token")
