"""Kubeconfigs that are none: a sentence, not a traceback of the official client."""

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
    with pytest.raises(ApiError, match=r"^no usable kubeconfig: the file has not the form of one \(") as caught:
        official.user(str(path))
    assert caught.value.status == 0
    with pytest.raises(ApiError, match=r"^no way to the API server: the file has not the form of one \("):
        official.configuration(path)


def test_a_file_that_is_no_yaml_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("a: [", encoding="utf-8")
    with pytest.raises(ApiError, match=r"^no usable kubeconfig: while parsing"):
        official.user(str(path))
    with pytest.raises(ApiError, match=r"^no way to the API server: while parsing"):
        official.configuration(path)
