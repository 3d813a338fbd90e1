"""``kubectl twinlease`` as a user runs it, against a real API server; pairs are judged by the real operator."""

import datetime as dt
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from tests.api.operating import Operator, account_kubeconfig
from tests.api.world import World
from tests.lab import otherkube
from tests.lab.apiserver import ApiServer
from twinlease import __version__
from twinlease.api.servinglease import Answer, Database, DatabaseVerdict, Evidence
from twinlease.kube.protocol import LEASES, PAIRS, SERVICE_ACCOUNTS

PLUGIN = Path(sys.executable).with_name("kubectl-twinlease")
DEAD_URL = "https://127.0.0.1:9"


class User:
    """Somebody at a shell, with a kubeconfig."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self.kubeconfig = kubeconfig
        self.namespace = namespace

    def run(self, *arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the plugin in a pipe, in the user's namespace."""
        clean = {key: value for key, value in os.environ.items() if key not in ("KUBECONFIG", "FORCE_COLOR")}
        named = [*arguments] if not self.namespace else [*arguments, "-n", self.namespace]
        return subprocess.run(
            [PLUGIN, *named],
            env={**clean, "KUBECONFIG": str(self.kubeconfig), **environment},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def told(self, *arguments: str) -> str:
        """Return what a command that succeeds prints."""
        done = self.run(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout


@pytest.fixture
def user(server: ApiServer, namespace: str) -> User:
    """Return the administrator at a shell, of a cluster in which no operator ever led: other tests had some lead."""
    server.kubectl("delete", "leases", "--all-namespaces", "--field-selector=metadata.name=twinlease-operator")
    return User(server.kubeconfig, namespace)


def cut_off(world: World, operator: Operator, seconds: float, *, fenced: bool = True) -> None:
    """Let the secondary's node die, so that the primary is cut off for so long."""
    primary, secondary = world.seat("primary"), world.seat("secondary")
    secondary.kernel_fence = fenced
    secondary.confirm("Normal")
    operator.look()
    world.ready("n2", is_ready=False)
    passed = 0.0
    while passed < seconds:
        step = min(40.0, seconds - passed)
        operator.wait(step)
        passed += step
        report(world, "CommunicationsInterrupted")
        primary.cut_off(passed)
        operator.look()


def report(world: World, state: str) -> None:
    """Let the primary's sidecar report a state in which it answers clients."""
    revision = world.wanted()["p-primary"]
    world.report("p-primary", running=revision, state=state, partner="Normal", serving=True)


def test_a_pair_that_is_normal(user: User, operator: Operator) -> None:
    del operator
    told = user.told("status")
    assert told.startswith(f"p  Normal  namespace {user.namespace}\n")
    assert "p-primary on n1, 10.9.0.11/24" in told
    assert "permit:" in told
    assert "fenced by the kernel" in told
    assert "50 free addresses of its own" in told
    assert "\x1b" not in told
    assert user.run("status", "--exit-code").returncode == 0
    assert "Nobody has to take over" in user.told("explain", "p")
    assert user.told("status", "p") == told


def test_options_before_the_command_count_and_those_behind_it_count_more(user: User, operator: Operator) -> None:
    del operator
    elsewhere = User(user.kubeconfig, "")
    assert elsewhere.told("-n", user.namespace, "status", "p").startswith("p  Normal")
    assert elsewhere.told("-n", "default", "status", "p", "-n", user.namespace).startswith("p  Normal")
    assert elsewhere.run("-n", user.namespace, "status", "p", "-n", "default").returncode == 6
    assert f"namespace {user.namespace}" in elsewhere.told("status", "--all-namespaces")
    # As for kubectl get: of all namespaces, whatever else is said.
    assert f"namespace {user.namespace}" in elsewhere.told("status", "-A", "-n", "default")


def test_not_yet_with_time_left(user: User, world: World, operator: Operator) -> None:
    cut_off(world, operator, 120)
    told = user.told("explain", "p")
    assert "NotYet" in told
    assert "May p-primary be put into partner-down? Not yet: 2 of 9 rules do not hold." in told
    assert "✗ Interruption    The interruption must last 5m" in told
    status = user.run("status", "--exit-code")
    assert status.returncode == 10
    assert "p  CommunicationsInterrupted/Unknown" in status.stdout
    assert "it has not renewed" in status.stdout
    document = json.loads(user.told("explain", "p", "-o", "json"))
    missing = [each["rule"] for each in document["takeover"]["rules"] if not each.get("holds")]
    assert missing == ["Interruption", "PartnerStopped"]
    assert yaml.safe_load(user.told("explain", "p", "-o", "yaml")) == document


def test_a_death_is_confirmed_where_only_that_is_missing_and_the_pair_tells_the_rest(
    user: User, world: World, operator: Operator
) -> None:
    cut_off(world, operator, 400, fenced=False)
    told = user.told("explain", "p")
    assert "1 of 9 rules does not hold" in told
    command = next(line.split() for line in told.splitlines() if line.strip().startswith("kubectl twinlease"))

    unsure = user.run("partner-down", "p", "--confirm-dead", "p-secondary")
    assert (unsure.returncode, "--yes" in unsure.stderr) == (2, True)
    assert "annotations" not in world.admin.get(PAIRS, "p", world.namespace)["metadata"]
    alive = user.run("partner-down", "p", "--confirm-dead", "p-primary", "--yes")
    assert (alive.returncode, "seen alive" in alive.stderr) == (1, True)
    assert "annotations" not in world.admin.get(PAIRS, "p", world.namespace)["metadata"]

    done = User(user.kubeconfig, "").told(*command[2:], "--yes")
    assert f"twinlease.io/confirm-dead=p-secondary@{world.seat('primary').lease().epoch}" in done
    operator.look()
    order = world.seat("primary").lease().order
    assert getattr(order, "evidence", None) is Evidence.CONFIRMED
    assert "Ordered" in user.told("status")

    since = int(operator.now)
    world.seat("primary").answer(Answer.EXECUTED, "PartnerDown", partner="CommunicationsInterrupted", since=since)
    report(world, "PartnerDown")
    operator.look()
    told = user.told("explain", "p")
    assert "The partner's free addresses may be used" in told
    again = user.run("partner-down", "p", "--confirm-dead", "p-secondary", "--yes")
    assert (again.returncode, "holds no grant" in again.stderr) == (1, True)

    story = user.told("timeline", "p")
    for word in ("Normal", "WaitingForEvidence", "Ordered", "Executed", "survivor primary", "PartnerDown"):
        assert word in story
    picture = ET.fromstring(user.told("timeline", "p", "--svg", "-"))  # noqa: S314  # our own text
    assert "primary: PartnerDown from" in " ".join(picture.itertext())
    history = json.loads(user.told("timeline", "p", "-o", "json"))["history"]
    assert [each.get("reason") for each in history][-2:] == ["Ordered", "Executed"]


def test_lost_lease_databases_are_down(user: User, world: World, operator: Operator) -> None:
    operator.look()
    for role in ("primary", "secondary"):
        seat = world.seat(role)
        seat.crash(verdict=DatabaseVerdict.LOST, state="Unknown")
        seat.database = Database(verdict=DatabaseVerdict.LOST)
        seat.ask()
        world.report(f"p-{role}")
    operator.look()
    told = user.told("explain", "p")
    assert "May p-primary start? Not yet." in told
    assert "acknowledge-lost-leases" in told
    assert user.run("status", "--exit-code").returncode == 11


def test_a_pair_that_nobody_has_looked_at(user: User, world: World) -> None:
    world.pair()
    assert "No operator has looked at it yet" in user.told("status")
    assert "No operator has looked at this pair yet" in user.told("explain", "p")
    assert "Nothing has been recorded yet" in user.told("timeline", "p")


def test_no_pair_at_all_and_none_of_that_name(user: User, world: World) -> None:
    del world
    assert "There is no pair here" in user.told("status")
    for command in (("explain", "q"), ("timeline", "q"), ("status", "q"), ("partner-down", "q", "--confirm-dead", "x")):
        done = user.run(*command)
        assert done.returncode == 6
        assert done.stderr.startswith(f"kubectl twinlease: there is no pair q in namespace {user.namespace}")
        assert done.stdout == ""


def test_versions_of_all_that_runs(user: User, operator: Operator) -> None:
    del operator
    told = dict(line.split(maxsplit=1) for line in user.told("version").splitlines())
    assert told["client"] == __version__
    assert told["CRDs"] == "twinlease.io/v1alpha1"
    assert told["operators"].startswith(__version__)
    document = json.loads(user.told("version", "-o", "json"))
    assert document["crds"]["kinds"][0] == "DHCPFailoverPair"


def test_an_operator_that_leads_no_more_is_missed(user: User, world: World, operator: Operator) -> None:
    del operator
    spec = {"holderIdentity": "one", "renewTime": "2026-01-01T00:00:00.000000Z", "leaseDurationSeconds": 15}
    metadata = {"name": "twinlease-operator", "namespace": world.namespace}
    world.admin.create(LEASES, {"metadata": metadata, "spec": spec})
    try:
        for command in (("status",), ("explain", "p")):
            done = user.run(*command)
            assert (done.returncode, "No operator has led for" in done.stderr) == (0, True)
        assert f"leader     one in {world.namespace}, renewed" in user.told("version")
        spec |= {"renewTime": dt.datetime.now(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")}
        world.admin.merge_patch(LEASES, "twinlease-operator", world.namespace, {"spec": spec})
        assert user.told("status").startswith("p  Normal")
    finally:
        world.admin.delete(LEASES, "twinlease-operator", world.namespace)


@pytest.mark.parametrize(("plain", "green"), [("", True), ("1", False)])
def test_colours_are_for_terminals_without_no_color(user: User, operator: Operator, plain: str, *, green: bool) -> None:
    del operator
    mine, theirs = pty.openpty()
    environment = {"KUBECONFIG": str(user.kubeconfig), "TERM": "xterm-256color", "NO_COLOR": plain, "COLUMNS": "80"}
    with subprocess.Popen(
        [PLUGIN, "status", "-n", user.namespace], stdout=theirs, env={**os.environ, **environment}
    ) as running:
        assert running.wait(timeout=60) == 0
    os.close(theirs)
    told = os.read(mine, 65536).decode()
    os.close(mine)
    assert ("\x1b[32mNormal" in told) is green
    assert "p-primary on n1" in told


def test_kubectl_finds_it_and_completes_it(server: ApiServer) -> None:
    kubectl = otherkube.chosen()["kubectl"]
    path = f"{PLUGIN.parent}:{os.environ['PATH']}"

    def run(*arguments: str) -> str:
        env = {"PATH": path, "HOME": "/nonexistent", "KUBECONFIG": str(server.kubeconfig)}
        return subprocess.run(
            [kubectl, *arguments], env=env, capture_output=True, text=True, timeout=60, check=True
        ).stdout

    assert run("twinlease", "version", "--client") == f"{__version__}\n"
    assert "explain" in [line.split("\t")[0] for line in run("__complete", "twinlease", "exp").splitlines()]


def test_names_of_pairs_are_completed(user: User, operator: Operator) -> None:
    del operator
    env = {"COMP_WORDS": f"kubectl-twinlease -n {user.namespace} explain ", "COMP_CWORD": "4"}
    done = User(user.kubeconfig, "").run(_KUBECTL_TWINLEASE_COMPLETE="bash_complete", **env)
    assert "plain,p" in done.stdout.splitlines()


def test_a_user_without_rights_is_told_which(server: ApiServer, world: World, tmp_path: Path) -> None:
    world.pair()
    world.admin.create(SERVICE_ACCOUNTS, {"metadata": {"name": "nobody", "namespace": world.namespace}})
    (tmp_path / "config").write_text(account_kubeconfig(server, world.namespace, "nobody"), encoding="utf-8")
    nobody = User(tmp_path / "config", world.namespace)
    for command in (
        ("status",),
        ("explain", "p"),
        ("timeline", "p"),
        ("partner-down", "p", "--confirm-dead", "p-primary", "--yes"),
        ("version",),
    ):
        done = nobody.run(*command)
        assert done.returncode == 4, command
        assert "you have not the rights" in done.stderr
        assert "dhcpfailoverpairs" in done.stderr
        assert "Traceback" not in done.stderr
    assert done.stdout.splitlines() == [f"client     {__version__}", "CRDs       twinlease.io/v1alpha1"]
    document = json.loads(nobody.run("version", "-o", "json").stdout)
    assert (document["client"], document["crds"]["version"]) == (__version__, "twinlease.io/v1alpha1")
    assert document.keys() == {"client", "crds"}


def test_an_unknown_token_is_told_apart(server: ApiServer, tmp_path: Path) -> None:
    document = json.loads(server.kubeconfig.read_text(encoding="utf-8"))
    for each in document["users"]:
        each["user"] = {"token": "forged"}
    (tmp_path / "config").write_text(json.dumps(document), encoding="utf-8")
    done = User(tmp_path / "config", "default").run("status")
    assert (done.returncode, "does not know you" in done.stderr) == (4, True)


def test_a_dead_server_and_unusable_kubeconfigs(server: ApiServer, tmp_path: Path) -> None:
    document = json.loads(server.kubeconfig.read_text(encoding="utf-8"))
    for each in document["clusters"]:
        each["cluster"]["server"] = DEAD_URL
    (tmp_path / "config").write_text(json.dumps(document), encoding="utf-8")
    done = User(tmp_path / "config", "default").run("status")
    assert (done.returncode, f"the API server at {DEAD_URL} cannot be reached" in done.stderr) == (3, True)
    assert len(done.stderr.splitlines()) == 1, done.stderr
    done = User(tmp_path / "config", "default").run("version")
    assert (done.returncode, done.stdout) == (3, f"client     {__version__}\n")
    assert f"the API server at {DEAD_URL} cannot be reached" in done.stderr

    user = User(tmp_path / "nowhere", "default")
    for arguments in (("status",), ("status", "--kubeconfig", str(tmp_path / "none"))):
        done = user.run(*arguments)
        assert (done.returncode, "no usable kubeconfig" in done.stderr) == (3, True), done
    (tmp_path / "broken").write_text("a: [", encoding="utf-8")
    assert user.run("status", "--kubeconfig", str(tmp_path / "broken")).returncode == 3
    done = User(server.kubeconfig, "default").run("status", "--context", "wrong")
    assert (done.returncode, "no context 'wrong'" in done.stderr) == (3, True), done


def test_a_cluster_without_the_crds() -> None:
    with ApiServer() as bare:
        user = User(bare.kubeconfig, "default")
        for command in (("status",), ("explain", "p"), ("version",)):
            done = user.run(*command)
            assert (done.returncode, "apply its CRDs" in done.stderr) == (5, True), done
        assert done.stdout == f"client     {__version__}\n"
        assert json.loads(user.run("version", "-o", "json").stdout) == {"client": __version__}


def test_watching_in_a_pipe_prints_what_changes(user: User, world: World, operator: Operator) -> None:
    del operator
    with subprocess.Popen(
        [PLUGIN, "status", "p", "-n", user.namespace, "--watch", "--interval", "0.5"],
        env={**os.environ, "KUBECONFIG": str(user.kubeconfig), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        try:
            assert watching.stdout.readline().startswith("p  Normal")
            world.admin.merge_patch(PAIRS, "p", user.namespace, {"status": {"state": "Changed"}}, subresource="status")
            assert any(line.startswith("p  Changed") for line in watching.stdout)
        finally:
            watching.terminate()
