"""The pod's name for itself: random, and gone with the machine's memory."""

import os
import re
from pathlib import Path

_BYTES = 16
_TOKEN = re.compile(r"[0-9a-f]{32,128}")


def pod_token(path: Path) -> str:
    """Return what is kept in a memory-backed file, made if it is not there: the same for each guard of a pod.

    Raises:
        OSError: It can be neither read nor written.
    """
    try:
        kept = path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        kept = ""
    if _TOKEN.fullmatch(kept):
        return kept
    made = os.urandom(_BYTES).hex()  # what `secrets` does, which imports 0.3 MB more into the guard (measured)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(made)
    fresh.replace(path)
    return made
