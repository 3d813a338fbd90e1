"""An image of the project whose wall clock can be off: for one server, as the machine's clock is everybody's."""

import tempfile
from pathlib import Path

from tests.lab import images, paths
from tests.lab.shell import run

CLOCK_IMAGE = "localhost/twinlease:clock"
CLOCK_FILE = "run/twinlease/clock"  # in a server's container: by how many seconds its clock is off
_SOURCE = paths.LAB_SOURCES / "clock" / "clock.c"
_LIBRARY = "usr/lib/lab-clock/libclock.so"
# By a file, not by the environment: that one is ignored for programs with file capabilities.
_PRELOAD = "etc/ld.so.preload"


def build(library: Path, file: Path = Path("/", CLOCK_FILE)) -> None:
    """Make the library that lets the wall clock be off by the seconds in a file."""
    name = f'-DCLOCK_FILE="{file}"'
    run(["gcc", "-O2", "-Wall", "-shared", "-fPIC", name, "-o", str(library), str(_SOURCE)])


def image(archive: Path) -> Path:
    """Return the archive of the project's image with one layer more, built if the cache does not have it."""
    with tempfile.TemporaryDirectory(prefix="twinlease-clock-") as directory:
        context = Path(directory)
        library, preload = context / "layer" / _LIBRARY, context / "layer" / _PRELOAD
        for file in (library, preload):
            file.parent.mkdir(parents=True)
        build(library)
        preload.write_text(f"/{_LIBRARY}\n", encoding="utf-8")
        lines = [f"FROM oci-archive:{archive}", "USER 0", "COPY layer /", "USER 6767:6767", ""]
        (context / "Dockerfile").write_text("\n".join(lines), encoding="utf-8")
        return images.project(context, CLOCK_IMAGE)
