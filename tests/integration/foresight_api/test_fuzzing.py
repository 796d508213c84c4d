"""What the OpenAPI document allows, and what it forbids, sent to the app: it answers as the document says, never with a
failure of its own. Seeded: the same requests every time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error, positive_data_acceptance
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support import demo_night
from tests.support.callers import CLIENT, OTHER, ROOT, key, keys, numbers
from tests.support.installation import Installation

OPERATIONS = {
    "POST /api/ml/predict-trajectory",
    "POST /api/ml/estimate-complexity",
    "POST /api/ml/predict-rework",
    "GET /api/ml/models",
    "GET /api/ml/alive",
    "GET /api/ml/health",
    "GET /api/ml/metrics",
}
# Takes nothing, so there is nothing to vary.
FIXED = {"GET /api/ml/ready"}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    positive_data_acceptance,
]
MODES = {"allowed": GenerationMode.POSITIVE, "forbidden": GenerationMode.NEGATIVE}
LONG = pytest.param(600, marks=[pytest.mark.long, pytest.mark.timeout(1800)], id="long")


def bounded(examples: int) -> Callable[[Callable], Callable]:
    def decorate(test: Callable) -> Callable:
        limits = settings(
            max_examples=examples,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
        )
        return seed(7)(limits(test))

    return decorate


@pytest.fixture(scope="module")
def held(world: Installation) -> dict[str, str]:
    """Keys of one client, and of two with the grant."""
    return {"one": key(world, CLIENT), "two": key(world, CLIENT, OTHER, any_of=True)}


@pytest.fixture(scope="module")
def there(world: Installation) -> dict[str, list]:
    """What is there to ask for, of one's own and of another's."""
    repository, found = numbers(world, CLIENT)
    return {
        "issue_keys": keys(world, CLIENT, count=20) + keys(world, OTHER, count=5),
        "epic_keys": keys(world, CLIENT, "Epic", count=20) + keys(world, OTHER, "Epic", count=5),
        "pull_request_numbers": found[:20],
        "repository": [repository],
        "client": [*demo_night.SLUGS.values(), "nobody"],
    }


@pytest.fixture(scope="module")
def operations(app: FastAPI, held: dict[str, str]) -> dict[str, APIOperation]:
    async def without_lifespan(scope: dict, receive: Any, send: Any) -> None:
        # It would end the service, which is the fixture's to stop.
        assert scope["type"] == "http"
        await app(scope, receive, send)

    headers = {"Authorization": f"Bearer {held['one']}"}
    schema = schemathesis.openapi.from_asgi(f"{ROOT}/openapi.json", without_lifespan, headers=headers)
    return {one.label: one for one in (found.ok() for found in schema.get_all_operations())}


def test_every_operation_is_tried(operations: dict[str, APIOperation]):
    assert set(operations) == OPERATIONS | FIXED


# The server is in this process, and its threads draw numbers of their own while a case is made.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@pytest.mark.parametrize("examples", [pytest.param(25, id="short"), LONG])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("label", sorted(OPERATIONS))
def test_the_document_is_true(
    operations: dict[str, APIOperation],
    held: dict[str, str],
    there: dict[str, list],
    label: str,
    mode: str,
    examples: int,
):
    seen = []
    # A parameter of the address that nobody knows is ignored, as everywhere; a field of a body is not.
    checks = [check for check in CHECKS if label.startswith("POST") or check is not negative_data_rejection]
    strategy = operations[label].as_strategy(generation_mode=MODES[mode])

    @bounded(examples)
    @given(data=st.data(), caller=st.sampled_from(sorted(held)))
    def send(data: st.DataObject, caller: str) -> None:
        case = data.draw(strategy)
        if mode == "allowed":
            # Names that are there, among those that are not.
            for part in (case.body, case.query):
                for name in set(there) & set(part) if isinstance(part, dict) else ():
                    if part[name] is not None and data.draw(st.integers(0, 3)):
                        real = st.sampled_from(there[name])
                        part[name] = data.draw(st.lists(real, min_size=1) if isinstance(part[name], list) else real)
        answer = case.call_and_validate(headers={"Authorization": f"Bearer {held[caller]}"}, checks=checks)
        seen.append(answer.status_code)

    send()
    assert len(seen) >= examples / 2
    if mode == "allowed":
        assert 200 in seen and set(seen) <= {200, 403}
    elif label.startswith("POST"):
        assert 422 in seen


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["\ud800", "\0", "A" * 300, "'; drop table ml.clients; --", 2**31, 2**64, 10**400, 1e308]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)
NAMES = ["issue_keys", "epic_keys", "pull_request_numbers", "repository", "explain", "client"]
BODIES = (
    st.binary(max_size=200)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(st.sampled_from(NAMES), JSON | st.lists(JSON, min_size=1, max_size=4)).map(
        lambda value: json.dumps(value).encode()
    )
    | st.dictionaries(st.sampled_from(NAMES), st.text() | st.lists(st.text(min_size=1), min_size=1)).map(
        lambda value: json.dumps(value, ensure_ascii=False).encode("utf-16")
    )
    | st.sampled_from(
        [b"[" * 100_000, b'{"issue_keys": ["\xff"]}', b'{"issue_keys": [NaN]}', b"{" * 10, b"\xef\xbb\xbf{}"]
    )
)
TYPES = [
    "application/json",
    "text/plain",
    "application/xml",
    "multipart/form-data",
    "application/json; charset=latin-1",
    "",
]


@pytest.mark.parametrize("examples", [pytest.param(150, id="short"), LONG])
def test_bodies_of_every_kind(app: FastAPI, held: dict[str, str], examples: int):
    """Below what a document can say: bytes that are no JSON, JSON that is no text, numbers that are too large."""
    caller = TestClient(app, raise_server_exceptions=False)
    seen = set()

    @bounded(examples)
    @given(
        path=st.sampled_from(["predict-trajectory", "estimate-complexity", "predict-rework"]),
        body=BODIES,
        kind=st.sampled_from(TYPES),
        who=st.sampled_from(sorted(held)),
    )
    def send(path: str, body: bytes, kind: str, who: str) -> None:
        headers = {"Authorization": f"Bearer {held[who]}", "Content-Type": kind}
        answer = caller.post(f"{ROOT}/{path}", content=body, headers=headers)
        assert answer.status_code in (200, 400, 403, 422), (answer.status_code, answer.text, path, body)
        if answer.status_code != 200:
            assert answer.headers["content-type"] == "application/problem+json"
        seen.add(answer.status_code)

    send()
    assert 422 in seen


def test_many_problems_are_told_briefly(app: FastAPI, held: dict[str, str]):
    caller = TestClient(app, headers={"Authorization": f"Bearer {held['one']}"})
    answer = caller.post(f"{ROOT}/predict-trajectory", json={"A" * 5000: 1} | {f"x{i}": 1 for i in range(9999)})
    assert answer.status_code == 422 and len(answer.content) < 10_000 and "10001 problems" in answer.text


@pytest.mark.parametrize(
    "value",
    ["\\ud800", "\\ud800\\udc00", "\\u0000", "\\ufffe", "\\udc80A", "%s", "%%(keys)s", "{}", "\\\\", "$1", "\\u202e"],
)
def test_texts_that_are_odd(app: FastAPI, held: dict[str, str], value: str):
    caller = TestClient(app, headers={"Authorization": f"Bearer {held['one']}"}, raise_server_exceptions=False)
    for path, body in {
        "estimate-complexity": f'{{"issue_keys": ["{value}"]}}',
        "predict-trajectory": f'{{"epic_keys": ["{value}"]}}',
        "predict-rework": f'{{"repository": "{value}", "pull_request_numbers": [1]}}',
        "estimate-complexity?": f'{{"issue_keys": ["A-1"], "client": "{value}"}}',
        "predict-trajectory?": f'{{"epic_keys": ["A-1"], "{value}": 1}}',
    }.items():
        answer = caller.post(f"{ROOT}/{path}", content=body.encode(), headers={"Content-Type": "application/json"})
        assert answer.status_code in (200, 403, 422), (path, body, answer.text)
        answer.json()
