"""What a user is told of the API's refusals, and with which exit status."""

import pytest

from twinlease.cli.exits import Exit, explained
from twinlease.kube.protocol import ApiError

HOST = "https://127.0.0.1:9"
REQUEST = "GET /apis/twinlease.io/v1alpha1/dhcpfailoverpairs: "


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (
            ApiError(
                0, "", REQUEST + "HTTPSConnection(host='127.0.0.1', port=9): Failed to connect: [Errno 111] refused"
            ),
            Exit.UNREACHABLE,
            f"the API server at {HOST} cannot be reached: Failed to connect: [Errno 111] refused",
        ),
        (
            ApiError(0, "", REQUEST + "Read timed out (10 s)"),
            Exit.UNREACHABLE,
            f"the API server at {HOST} cannot be reached: Read timed out (10 s)",
        ),
        (
            ApiError(403, "Forbidden", 'User "u" cannot list resource "dhcpfailoverpairs"'),
            Exit.FORBIDDEN,
            'you have not the rights for this: User "u" cannot list resource "dhcpfailoverpairs"',
        ),
        (
            ApiError(401, "Unauthorized", "Unauthorized"),
            Exit.FORBIDDEN,
            f"the API server at {HOST} does not know you: log in again (Unauthorized)",
        ),
        (
            ApiError(404, "", "404 page not found"),
            Exit.NOT_INSTALLED,
            f"the cluster at {HOST} does not know twinlease: apply its CRDs (kubectl apply --server-side -f crds/)",
        ),
        (ApiError(409, "Conflict", "uid mismatch"), Exit.NO, "the API server refused: uid mismatch"),
    ],
)
def test_a_refusal_is_a_sentence_and_a_status(error: ApiError, status: Exit, sentence: str) -> None:
    found = explained(error, HOST)
    assert (found.status, found.exit_code, found.format_message()) == (status, int(status), sentence)
