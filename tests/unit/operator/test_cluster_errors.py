"""Every answer of the API server is one of a few errors: try again, somebody was first, gone, ending, refused."""

import json

import pytest

from parley_contract.errors import PermanentError, RetryableError
from parley_operator.cluster import ApiAwayError, ConflictError, EndingError, MissingError, RefusedError, translated
from parley_operator.kinds import SECRET


def status(message: str = "no", **details: object) -> bytes:
    return json.dumps({"kind": "Status", "message": message, "details": details}).encode()


@pytest.mark.parametrize(
    "code, body, expected",
    [
        (409, status(), ConflictError),
        (404, status(), MissingError),
        (403, status("forbidden: no right"), RefusedError),
        (403, status(causes=[{"reason": "NamespaceTerminating"}]), EndingError),
        (422, status("spec.x: Invalid value"), RefusedError),
        (429, status(), ApiAwayError),
        (500, status(), ApiAwayError),
        (500, status('Internal error occurred: failed calling webhook "mine": no endpoints'), RefusedError),
        (503, b"<html>a proxy's page</html>", ApiAwayError),
        (401, status(), ApiAwayError),
        (400, b"[]", RefusedError),
    ],
)
def test_an_answer_is_an_error_that_says_whether_to_try_again(
    code: int, body: bytes, expected: type[RetryableError | PermanentError]
) -> None:
    assert type(translated("GET /x", code, body)) is expected


@pytest.mark.parametrize(
    "header, told_s, seconds", [("7", None, 7.0), ("", 3, 3.0), ("soon", None, 0.0), ("", None, 0.0)]
)
def test_a_server_without_time_says_when_it_has_some(header: str, told_s: int | None, seconds: float) -> None:
    error = translated("GET /x", 429, status(retryAfterSeconds=told_s), header)

    assert isinstance(error, ApiAwayError)
    assert error.retry_after_s == seconds


def test_a_refusal_is_told_in_the_servers_own_words() -> None:
    error = translated("PATCH /x", 422, status('Service "a" is invalid: spec.ports: Required value'))

    assert str(error) == 'Service "a" is invalid: spec.ports: Required value'


def test_a_name_is_one_part_of_a_path_whatever_it_holds() -> None:
    path = SECRET.path("voices", "../../others/secrets/token?x=#")

    assert path == "/api/v1/namespaces/voices/secrets/..%2F..%2Fothers%2Fsecrets%2Ftoken%3Fx%3D%23"
