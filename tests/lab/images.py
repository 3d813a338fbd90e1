"""Container images without a registry: a base system, the pause image, and the project's own from its Dockerfile.

Everything is kept in the cache under a hash of what it was made from; the work is done by mmdebstrap and buildah.
"""

import hashlib
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab import binaries, paths
from tests.lab.model import PROJECT_IMAGE
from tests.lab.node import PAUSE_IMAGE
from tests.lab.shell import run, succeeds

BASE_IMAGE = "docker.io/library/debian:trixie-slim"  # the name the project's Dockerfile starts from
BASE_SUITE = "trixie"
BASE_PACKAGES = ("ca-certificates",)
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_CA_IN_BUILD = "/run/host-ca.crt"
_APT_SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
_BUILD_SECONDS = 1800.0
_KEPT_ARCHIVES = 3
# The host's own way to its package index, when it has one; handed into the build, never into the image.
_PIP_SETTINGS = {
    "PIP_INDEX_URL": "index-url",
    "PIP_EXTRA_INDEX_URL": "extra-index-url",
    "PIP_DEFAULT_TIMEOUT": "timeout",
    "PIP_RETRIES": "retries",
    "PIP_TRUSTED_HOST": "trusted-host",
}
_PROXY_SETTINGS = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def pause() -> Path:
    """Return the archive of the pause image, built if the cache does not have it."""
    sources = paths.LAB_SOURCES / "pause"
    key = binaries.digest([sources / "go.mod", sources / "main.go"])
    archive = paths.cache_directory() / f"pause-{key}.tar"
    if not archive.exists():
        with _building("images"):
            if not archive.exists():
                _build_pause(sources, archive)
    return archive


def base() -> None:
    """Have the base image at hand, built if the cache does not have it."""
    with _building("images"):
        _ensure_base()


def project(context: Path = paths.REPOSITORY, name: str = PROJECT_IMAGE) -> Path:
    """Return the archive of the image that `context`'s Dockerfile describes, built if the cache does not have it."""
    key = project_key(context, name)
    archive = paths.cache_directory() / f"image-{key}.tar"
    if not archive.exists():
        with _building("images"):
            if not archive.exists():
                _ensure_base()
                _build_project(context, name, archive)
                for old in superseded(paths.cache_directory().glob("image-*.tar")):
                    old.unlink()
    return archive


def project_key(context: Path, name: str = PROJECT_IMAGE) -> str:
    """Return the key of the project's image: a hash of the base and of every file the Dockerfile takes in."""
    dockerfile = (context / "Dockerfile").read_text(encoding="utf-8")
    state = hashlib.sha256(f"{name}\n{_base_key()}\n{dockerfile}\n".encode())
    ignored = context / ".dockerignore"
    if ignored.exists():
        state.update(ignored.read_bytes())
    for file in context_files(context, copied_sources(dockerfile)):
        mode = file.stat().st_mode & 0o777
        state.update(
            f"{file.relative_to(context)}\0{mode:o}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode()
        )
    return state.hexdigest()[:16]


def superseded(archives: Iterable[Path]) -> list[Path]:
    """Return the archives that are not among the latest few: every change of the project makes another one."""
    return sorted(archives, key=lambda archive: archive.stat().st_mtime_ns, reverse=True)[_KEPT_ARCHIVES:]


def copied_sources(dockerfile: str) -> list[str]:
    """Return what the COPY and ADD lines take from the build context."""
    found: list[str] = []
    for line in dockerfile.replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word.upper() not in {"COPY", "ADD"}:
            continue
        words = shlex.split(rest)
        if any(each.startswith("--from=") for each in words):
            continue
        plain = [each for each in words if not each.startswith("--")]
        if plain and plain[0].startswith("["):
            plain = json.loads(rest[rest.index("[") :])
        found += plain[:-1]
    return found


def context_files(context: Path, sources: Iterable[str]) -> list[Path]:
    """Return the files that the sources of a COPY line stand for, without what running them leaves behind."""
    found: set[Path] = set()
    for source in sources:
        for match in [context] if source in {".", "./"} else context.glob(source.strip("/")):
            files = match.rglob("*") if match.is_dir() else [match]
            found.update(file for file in files if file.is_file() and not _byproduct(file.relative_to(context)))
    return sorted(found)


def pip_configuration(environ: dict[str, str]) -> str:
    """Return the pip.conf that is mounted into the build."""
    lines = ["[global]", f"cert = {_CA_IN_BUILD}", "disable-pip-version-check = true"]
    lines += [f"{key} = {environ[name]}" for name, key in _PIP_SETTINGS.items() if environ.get(name)]
    return "\n".join(lines) + "\n"


def mirror(sources: str) -> str:
    """Return the first package mirror in the text of an apt sources file, of the new or the old format."""
    for line in sources.splitlines():
        words = line.split()
        if words[:1] == ["URIs:"]:
            return words[1]
        if words[:1] == ["deb"]:
            return next(word for word in words[1:] if "://" in word)
    raise ValueError("no package mirror in the sources of apt")


def _byproduct(path: Path) -> bool:
    return bool({"__pycache__", ".git", ".venv"} & set(path.parts)) or path.suffix == ".pyc"


def _base_key() -> str:
    recipe = "\n".join([BASE_IMAGE, BASE_SUITE, *BASE_PACKAGES, *_LEFT_OUT])
    return hashlib.sha256(recipe.encode()).hexdigest()[:16]


def _ensure_base() -> None:
    """Have the base image in buildah's storage."""
    key = _base_key()
    label = f"{BASE_IMAGE.removeprefix('docker.io/library/')}-{key}"
    if succeeds(_buildah("inspect", "--type", "image", f"localhost/{label}")):
        return
    sys.stderr.write("building the base image (once; about 40 s)\n")
    sources = next(file for file in _APT_SOURCES if file.exists()).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="twinlease-base-") as directory:
        archive = Path(directory) / "base.tar"
        # A mirror that is a snapshot of some day is as good as any other.
        lenient = ["--aptopt=Acquire::Check-Valid-Until false", "--aptopt=Acquire::Check-Date false"]
        excluded = [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
        options = [*lenient, *excluded, f"--include={','.join(BASE_PACKAGES)}"]
        run(
            ["mmdebstrap", "--quiet", "--variant=minbase", *options, BASE_SUITE, str(archive), mirror(sources)],
            timeout=_BUILD_SECONDS,
        )
        container = run(_buildah("from", "scratch")).strip()
        run(_buildah("add", "--quiet", container, str(archive), "/"), timeout=_BUILD_SECONDS)
        search = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        run(_buildah("config", "--cmd", '["bash"]', "--env", search, container))
        run(_buildah("commit", "--quiet", container, BASE_IMAGE), timeout=_BUILD_SECONDS)
        run(_buildah("commit", "--quiet", "--rm", container, f"localhost/{label}"), timeout=_BUILD_SECONDS)


def _build_pause(sources: Path, archive: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="twinlease-pause-") as directory:
        executable = Path(directory) / "pause"
        binaries.go_build(sources, executable)
        container = run(_buildah("from", "scratch")).strip()
        run(_buildah("copy", "--quiet", container, str(executable), "/pause"))
        run(_buildah("config", "--entrypoint", '["/pause"]', container))
        run(_buildah("commit", "--quiet", "--rm", container, PAUSE_IMAGE))
    _export(PAUSE_IMAGE, archive)


def _build_project(context: Path, name: str, archive: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="twinlease-build-") as directory:
        settings = Path(directory) / "pip.conf"
        settings.write_text(pip_configuration(dict(os.environ)), encoding="utf-8")
        mounts = [f"--volume={settings}:/etc/pip.conf:ro"]
        if _CA_BUNDLE.exists():
            mounts.append(f"--volume={_CA_BUNDLE}:{_CA_IN_BUILD}:ro")
        proxies = [f"--build-arg={each}={os.environ[each]}" for each in _PROXY_SETTINGS if os.environ.get(each)]
        # The host's network: buildah's own would leave a bridge and packet filter rules behind.
        isolation = ["--isolation=chroot", "--network=host", "--layers", "--pull-never"]
        result = [f"--tag={name}", f"--file={context / 'Dockerfile'}", str(context)]
        run(_buildah("bud", *isolation, *mounts, *proxies, *result), timeout=_BUILD_SECONDS)
    _export(name, archive)


def _export(name: str, archive: Path) -> None:
    """Write an image to an archive that appears under its name only when it is whole."""
    partial = archive.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    run(_buildah("push", "--quiet", name, f"oci-archive:{partial}:{name}"), timeout=_BUILD_SECONDS)
    partial.rename(archive)


def _storage() -> Path:
    return paths.cache_directory() / "containers"


def _buildah(command: str, *arguments: str) -> list[str]:
    """Return a buildah command line with a storage of our own, apart from the host's."""
    storage = _storage()
    storage.mkdir(parents=True, exist_ok=True)
    settings = storage / "containers.conf"
    # Its network library makes this directory even when no network is wanted: not in the host's /etc.
    settings.write_text(f'[network]\nnetwork_config_dir = "{storage / "networks"}"\n', encoding="utf-8")
    options = [f"--root={storage / 'storage'}", f"--runroot={storage / 'run'}", "--storage-driver=overlay"]
    return ["env", f"CONTAINERS_CONF={settings}", "buildah", *options, command, *arguments]


@contextmanager
def _building(lock: str) -> Iterator[None]:
    """Hold the lock for a build, and leave no container or mount behind when it breaks off."""
    with paths.locked(lock, wait_seconds=_BUILD_SECONDS):
        try:
            yield
        except BaseException:
            run(_buildah("umount", "--all"), check=False)
            run(_buildah("rm", "--all"), check=False)
            raise
