"""Requests made from our own OpenAPI document, right and wrong: no 5xx, and answers as it says."""

import json
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS
from schemathesis.core.control import SkipTest
from schemathesis.core.result import Ok

from sensorium.transports.http.protocol import MAX_HEAD
from tests.servers import Server, serving

EXAMPLES = 8


@schemathesis.serializer("application/x-ndjson", "application/ndjson")
def as_lines(_: object, value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


NOT_OURS = tuple(f"/v1/testing/{verb}" for verb in ("stuck", "fail", "count", "count_async"))
"""Those take as long as they are told to, or are there to fail."""


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    with serving("--mode", "web", "--deadline-s", "1") as running, running.client() as http:
        while "testing.inline" not in http.get("/v1/system/operations").text:
            pass
        yield running


def _operations(server: Server, mode: GenerationMode):  # type: ignore[no-untyped-def]
    schema = schemathesis.openapi.from_url(f"{server.url}/api-doc/openapi.json")
    schema.config.generation.update(modes=[mode])
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        yield result.ok()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_described_operation_answers_as_described(own: Server, mode: GenerationMode) -> None:
    seen = 0
    for operation in _operations(own, mode):
        if operation.path in NOT_OURS:
            continue

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def answers(case) -> None:  # type: ignore[no-untyped-def]
            response = case.call(timeout=60)
            slow = case.path.startswith(("/v1/testing/", "/v1/chat/", "/v1/text/"))
            if response.status_code == 504 and not slow:  # on a busy machine a second is little
                response = case.call(headers={"x-deadline-s": "60"}, timeout=100)
            if len(response.request.url) > MAX_HEAD // 2:
                return  # refused with its head, before it is known what it asks for
            # The server's deadline is a second, in which a language model need not be loaded yet.
            late = response.status_code == 504 and slow
            offline = response.status_code == 503 and case.path == "/v1/models/pull"
            # The model that ships takes no pictures.
            blind = response.status_code == 501 and case.path == "/v1/vision/describe"
            assert response.status_code < 500 or late or offline or blind, response.text
            case.validate_response(response, checks=_checks())

        try:
            answers()
        except SkipTest:  # one that takes nothing has no wrong requests
            continue
        seen += 1
    assert seen > 10


def _checks() -> list:  # type: ignore[type-arg]
    wanted = (
        "content_type_conformance",
        "response_schema_conformance",
        "response_headers_conformance",
    )
    return CHECKS.get_by_names(list(wanted))
