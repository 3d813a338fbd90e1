"""Kubeconfigs that are none: a sentence, not a traceback of the official client; and whom a user is without one."""

import json
from pathlib import Path

import pytest

from twinlease.kube import official
from twinlease.kube.protocol import ApiError

_MISSHAPEN = {
    "a word": b"hello",
    "a list": b"[]",
    "numbers for lists": b"clusters: 5\ncontexts: x\ncurrent-context: k",
    "no text": b"\xfc\xa1\xa1\xa1",
    "no base64": b"""{
        clusters: [{name: c, cluster: {server: "https://127.0.0.1:1", certificate-authority-data: "a"}}],
        contexts: [{name: k, context: {cluster: c, user: u}}], users: [{name: u, user: {}}], current-context: k}""",
}


@pytest.mark.parametrize("case", _MISSHAPEN)
def test_a_file_that_has_not_the_form_of_a_kubeconfig_is_refused_in_words(case: str, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(_MISSHAPEN[case])
    with pytest.raises(
        ApiError, match=r"^no usable kubeconfig: \S+/config: the file has not the form of one \("
    ) as caught:
        official.user(str(path))
    assert caught.value.status == 0
    with pytest.raises(ApiError, match=r"^no way to the API server: the file has not the form of one \("):
        official.configuration(path)


def test_a_file_that_is_no_yaml_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("a: [", encoding="utf-8")
    with pytest.raises(ApiError, match=r"^no usable kubeconfig: \S+/config: while parsing"):
        official.user(str(path))
    with pytest.raises(ApiError, match=r"^no way to the API server: while parsing"):
        official.configuration(path)


def kubeconfig(path: Path, user: dict[str, object]) -> Path:
    """Write a kubeconfig whose user logs in like this."""
    document = {
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "contexts": [{"name": "k", "context": {"cluster": "c", "user": "u", "namespace": "mine"}}],
        "users": [{"name": "u", "user": user}],
        "current-context": "k",
    }
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("command", "args", "said"),
    [
        ("twinlease-no-such-program", [], "twinlease-no-such-program: No such file or directory"),
        ("sh", ["-c", "echo no >&2; echo more >&2; exit 3"], "process returned 3. no more"),
        ("echo", ["{}"], "malformed response. missing key 'apiVersion'"),
    ],
)
def test_an_exec_plugin_that_gives_no_credentials_is_an_error(
    command: str, args: list[str], said: str, tmp_path: Path
) -> None:
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": command, "args": args}
    path = kubeconfig(tmp_path / "config", {"exec": plugin})
    for found in (lambda: official.user(str(path)), lambda: official.configuration(path)):
        with pytest.raises(ApiError) as caught:
            found()
        assert caught.value.message.endswith(f": its exec plugin gives no credentials: {said}")


def test_an_exec_plugin_that_works_logs_in(tmp_path: Path) -> None:
    version = "client.authentication.k8s.io/v1"
    answer = {"apiVersion": version, "kind": "ExecCredential", "status": {"token": "t"}}
    plugin = {"apiVersion": version, "command": "echo", "args": [json.dumps(answer)]}
    found, namespace = official.user(str(kubeconfig(tmp_path / "config", {"exec": plugin})))
    assert (found.api_key["BearerToken"], namespace) == ("Bearer t", "mine")


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the service account of a pod is whose user has neither a home nor a kubeconfig."""
    account = tmp_path / "account"
    account.mkdir()
    for name, text in (("token", "t"), ("ca.crt", "c"), ("namespace", "pods")):
        (account / name).write_text(text, encoding="utf-8")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", "")
    return account


def test_in_a_pod_without_a_kubeconfig_its_account_counts(pod: Path) -> None:
    found, namespace = official.user(account=pod)
    assert (found.host, namespace) == ("https://10.0.0.1:443", "pods")


@pytest.mark.parametrize("text", [None, "a: [", "[]", ""])
def test_a_kubeconfig_that_is_named_is_used_or_refused_also_in_a_pod(
    text: str | None, pod: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "named"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(ApiError) as caught:
        official.user(account=pod)
    assert caught.value.message.startswith(f"no usable kubeconfig: {path} ($KUBECONFIG): ")
    monkeypatch.delenv("KUBECONFIG")
    with pytest.raises(ApiError) as caught:
        official.user(str(path), account=pod)
    assert caught.value.message.startswith(f"no usable kubeconfig: {path}: ")


def test_of_several_files_those_that_are_there_count(
    pod: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = kubeconfig(tmp_path / "there", {"token": "t"})
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'not-there'}:{there}")
    found, namespace = official.user(account=pod)
    assert (found.host, namespace) == ("http://127.0.0.1:1", "mine")


def test_ones_own_file_counts_before_the_pods_account(pod: Path, tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    own = kubeconfig(tmp_path / ".kube/config", {"token": "t"})
    assert official.user(account=pod)[1] == "mine"
    own.write_text("a: [", encoding="utf-8")
    with pytest.raises(ApiError, match=r"^no usable kubeconfig: ~/\.kube/config: while parsing"):
        official.user(account=pod)


def test_where_there_is_nothing_at_all_it_says_what_it_looked_for(pod: Path) -> None:
    for context, said in ((None, "and this is no pod"), ("k", "~/.kube/config: there is no such file")):
        with pytest.raises(ApiError) as caught:
            official.user(context=context, account=pod / "none")
        assert caught.value.message.startswith("no usable kubeconfig: ")
        assert caught.value.message.endswith(said)
