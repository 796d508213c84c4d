"""The client of the prediction API against networks and servers that fail: it answers, says why, and does not raise."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from include.foresight import client as module
from include.foresight.client import AsyncMLPredictionClient, Clock, MLPredictionClient, Patience, Predictions

URL, KEY = "http://ml.test/api/ml", "fsk_0123456789ab_secret"
HASTY = Patience(call=5, pause=0.001, rest=60)

Handler = Callable[[httpx.Request], httpx.Response]


class Time:
    """Time that passes when it is told to, and at once."""

    def __init__(self) -> None:
        self.now, self.slept = 1000.0, []
        self.clock = Clock(lambda: self.now, self.sleep, self.wait)

    def passes(self, seconds: float) -> None:
        self.now += seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passes(seconds)

    async def wait(self, seconds: float) -> None:
        self.sleep(seconds)


class Both:
    """The two classes as one: what is asked of it is asked of a client of the parameter's class."""

    def __init__(self, kind: str) -> None:
        self.kind, self.loop, self.time = kind, asyncio.new_event_loop(), Time()

    def client(self, handler: Handler, patience: Patience = HASTY, **named: Any) -> Any:
        made = MLPredictionClient if self.kind == "sync" else AsyncMLPredictionClient
        stated = {"url": URL, "key": KEY, "patience": patience, "clock": self.time.clock} | named
        return made(**stated, transport=httpx.MockTransport(handler))

    def ask(self, client: Any, method: str, *arguments: Any, **named: Any) -> Any:
        answer = getattr(client, method)(*arguments, **named)
        return answer if self.kind == "sync" else self.loop.run_until_complete(answer)


@pytest.fixture(params=["sync", "async"])
def both(request: pytest.FixtureRequest):
    made = Both(request.param)
    yield made
    made.loop.close()


class Server:
    """Answers as the API does: every name is known, unless it begins with an X. First it does what `plan` says."""

    def __init__(self, *plan: Exception | httpx.Response) -> None:
        self.plan, self.requests = list(plan), []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        step = self.plan.pop(0) if self.plan else None
        if isinstance(step, Exception):
            raise step
        if step is not None:
            # A new one: a response can be read once.
            return httpx.Response(step.status_code, headers=step.headers, content=step.content)
        if request.method == "GET":
            return httpx.Response(200, json={"status": "healthy"})
        body = json.loads(request.content)
        listed = next(name for name in body if name.endswith(("_keys", "_numbers")))
        name, answered = ("number" if "number" in listed else "key"), "predictions"
        if listed == "issue_keys":
            answered = "estimates"
        known = [one for one in body[listed] if not str(one).startswith("X")]
        return httpx.Response(
            200,
            json={
                answered: [
                    {name: one, "value": 1.5, "excluded": "closed" if one == "OLD-1" else None} for one in known
                ],
                "unknown": [str(one) for one in body[listed] if one not in known],
                "last_known": False,
                "model_version": "v1",
            },
        )

    @property
    def bodies(self) -> list[dict]:
        return [json.loads(request.content) for request in self.requests]


def problem(status: int, title: str = "Busy", detail: str = "wait", **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"title": title, "detail": detail}, headers=headers)


def test_an_answer(both: Both):
    server = Server()
    found = both.ask(both.client(server), "estimate_complexity", ["A-1", "X-1", "A-1", "OLD-1"], explain=True)
    assert dict(found) == {"A-1": {"key": "A-1", "value": 1.5, "excluded": None}}
    assert (found.reason, found.unknown, found.excluded) == (None, ("X-1",), {"OLD-1": "closed"})
    assert found.model_version == "v1" and not found.last_known
    [request] = server.requests
    assert str(request.url) == f"{URL}/estimate-complexity" and request.headers["authorization"] == f"Bearer {KEY}"
    assert server.bodies == [{"explain": True, "issue_keys": ["A-1", "X-1", "OLD-1"]}]


def test_the_three_questions(both: Both):
    server = Server()
    client = both.client(server, client="acme")
    assert both.ask(client, "predict_rework_risk", [7], repository="acme/shop")[7]["value"] == 1.5
    assert both.ask(client, "predict_trajectory", ["A-2"])["A-2"]["value"] == 1.5
    assert both.ask(client, "is_available") is True
    paths = [request.url.path for request in server.requests]
    assert paths == ["/api/ml/predict-rework", "/api/ml/predict-trajectory", "/api/ml/health"]
    assert json.loads(server.requests[0].content) == {
        "repository": "acme/shop",
        "explain": False,
        "client": "acme",
        "pull_request_numbers": [7],
    }
    assert dict(server.requests[2].url.params) == {"client": "acme"}


def test_a_long_list_goes_in_parts(both: Both):
    server = Server()
    keys = [f"A-{number}" for number in range(450)]
    found = both.ask(both.client(server), "estimate_complexity", iter(keys))
    assert list(found) == keys and found.reason is None
    assert [len(body["issue_keys"]) for body in server.bodies] == [200, 200, 50]


def test_parts_that_were_answered_are_kept(both: Both):
    good = Server()
    failing = iter([None, *[problem(500, "Failed")] * 9])

    def handler(request: httpx.Request) -> httpx.Response:
        return next(failing) or good(request)

    found = both.ask(both.client(handler), "predict_trajectory", [f"A-{number}" for number in range(600)])
    assert len(found) == 200 and "HTTP 500: Failed" in found.reason and len(good.requests) == 1


def test_nothing_is_asked_for_nothing(both: Both):
    server = Server()
    found = both.ask(both.client(server), "estimate_complexity", [])
    assert (len(found), found.reason, server.requests) == (0, None, [])


@pytest.mark.parametrize(
    "bad",
    ["", "A" * 256, "A\0", "\ud800", None, 7, ["A-1"]],
    ids=["empty", "long", "nul", "half", "none", "int", "list"],
)
def test_one_impossible_name_costs_the_others_nothing(both: Both, bad: object):
    server = Server()
    found = both.ask(both.client(server), "estimate_complexity", ["A-1", bad])
    assert (list(found), found.unknown, found.reason) == (["A-1"], (bad,), None)


@pytest.mark.parametrize("bad", [0, -1, 2**31, True, "7", 1.0, None])
def test_one_impossible_number_costs_the_others_nothing(both: Both, bad: object):
    found = both.ask(both.client(Server()), "predict_rework_risk", [7, bad], repository="a/b")
    assert (list(found), found.unknown, found.reason) == ([7], (bad,), None)


@pytest.mark.parametrize("asked", ["A-1", None, 7])
def test_what_is_no_list_is_told(both: Both, asked: object):
    server = Server()
    found = both.ask(both.client(server), "estimate_complexity", asked)
    assert len(found) == 0 and found.reason and not server.requests
    assert both.ask(both.client(server), "predict_rework_risk", [1], repository=None).reason


def test_an_iterator_that_fails_is_told(both: Both):
    def keys():
        yield "A-1"
        raise KeyError("key")

    found = both.ask(both.client(Server()), "estimate_complexity", keys())
    assert len(found) == 0 and "KeyError" in found.reason


AGAIN = [
    httpx.ConnectError("refused"),
    httpx.ReadError("reset"),
    httpx.RemoteProtocolError("closed without an answer"),
    httpx.ConnectTimeout("no answer"),
    problem(503),
    problem(502),
    problem(504),
    problem(429),
]
ONCE = [
    httpx.ReadTimeout("slow"),
    httpx.WriteTimeout("slow"),
    httpx.DecodingError("not gzip"),
    httpx.TooManyRedirects("round"),
    OSError("odd"),
    problem(500),
    problem(400),
    problem(401),
    problem(403),
    problem(404),
    problem(409),
    problem(413),
    problem(422),
    httpx.Response(302, headers={"location": "http://elsewhere.test/login"}),
    httpx.Response(200, text="<html>log in</html>"),
    httpx.Response(200, json=[]),
    httpx.Response(200, json={"estimates": {}, "unknown": []}),
    httpx.Response(200, json={"estimates": [{"nokey": 1}], "unknown": []}),
    httpx.Response(200, json={"estimates": []}),
    httpx.Response(200, content=b"[" * 100_000),
    httpx.Response(204),
]


def named(step: Exception | httpx.Response) -> str:
    return f"{step.status_code}" if isinstance(step, httpx.Response) else type(step).__name__


@pytest.mark.parametrize("step", AGAIN, ids=named)
def test_what_passes_is_asked_again(both: Both, step: Exception | httpx.Response):
    server = Server(step, step)
    found = both.ask(both.client(server), "estimate_complexity", ["A-1"])
    assert list(found) == ["A-1"] and found.reason is None and len(server.requests) == 3


@pytest.mark.parametrize("step", AGAIN, ids=named)
def test_not_for_ever(both: Both, step: Exception | httpx.Response, caplog: pytest.LogCaptureFixture):
    server = Server(*[step] * 9)
    with caplog.at_level(logging.WARNING):
        found = both.ask(both.client(server), "estimate_complexity", ["A-1"])
    assert len(found) == 0 and found.reason and len(server.requests) == 3
    assert found.reason in caplog.text and "secret" not in caplog.text + found.reason


@pytest.mark.parametrize("step", ONCE, ids=named)
def test_what_does_not_pass_is_told_at_once(both: Both, step: Exception | httpx.Response):
    server = Server(step)
    found = both.ask(both.client(server), "estimate_complexity", ["A-1"])
    assert len(found) == 0 and found.reason and len(server.requests) == 1
    if isinstance(step, httpx.Response) and step.status_code >= 400:
        assert found.reason == f"HTTP {step.status_code}: Busy: wait"


def test_what_the_server_says_is_waited_for(both: Both):
    server = Server(problem(503, **{"Retry-After": "1"}))
    assert both.ask(both.client(server), "estimate_complexity", ["A-1"]).reason is None
    assert both.time.slept == [1]
    for stated in ("3600", "99999999999999999999"):
        found = both.ask(both.client(Server(problem(503, **{"Retry-After": stated}))), "estimate_complexity", ["A-1"])
        assert found.reason and both.time.slept == [1]
    odd = Server(problem(503, **{"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}))
    assert both.ask(both.client(odd), "estimate_complexity", ["A-1"]).reason is None
    assert len(both.time.slept) == 2 and both.time.slept[1] <= HASTY.pause


def test_pauses_grow_and_differ():
    protocol = module.Protocol(URL, KEY, None, Patience(pause=1.0, longest_pause=3.0))
    for attempt, longest in ((0, 1.0), (1, 2.0), (2, 3.0), (9, 3.0)):
        drawn = {protocol._pause(attempt, OSError()) for _ in range(50)}
        assert len(drawn) > 40 and longest / 2 <= min(drawn) and max(drawn) <= longest


def test_a_server_that_fails_is_left_alone(both: Both):
    server = Server(*[httpx.ConnectError("refused")] * 5)
    client = both.client(server)
    first, second = (both.ask(client, "estimate_complexity", ["A-1"]) for _ in range(2))
    assert len(server.requests) == 5 and "ConnectError" in first.reason and "ConnectError" in second.reason
    third = both.ask(client, "estimate_complexity", ["A-1"])
    assert "left alone" in third.reason and "refused" in third.reason and len(server.requests) == 5
    assert both.ask(client, "is_available") is False and len(server.requests) == 5
    both.time.passes(HASTY.rest - 1)
    assert "left alone" in both.ask(client, "estimate_complexity", ["A-1"]).reason
    both.time.passes(1)
    assert both.ask(client, "estimate_complexity", ["A-1"]).reason is None
    assert both.ask(client, "is_available") is True


def test_one_request_tries_for_all():
    time = Time()
    breaker = module.Breaker(2, 60, time.clock)
    breaker.failed("a")
    assert breaker.refusal() is None
    breaker.failed("b")
    assert breaker.refusal() and breaker.refuses
    time.passes(60)
    assert not breaker.refuses and breaker.refusal() is None
    assert breaker.refusal() and breaker.refuses
    breaker.failed("c")
    assert breaker.refuses
    time.passes(60)
    assert breaker.refusal() is None
    breaker.succeeded()
    assert breaker.refusal() is None and breaker.refusal() is None


def test_refusals_do_not_count_as_failures(both: Both):
    server = Server(*[problem(409, "No model yet")] * 20)
    client = both.client(server)
    for _ in range(20):
        assert "No model yet" in both.ask(client, "estimate_complexity", ["A-1"]).reason
    assert len(server.requests) == 20


def test_a_call_has_an_end(both: Both):
    """However many parts and retries it has; and a server that drips is not waited for either."""

    def slow(request: httpx.Request) -> httpx.Response:
        both.time.passes(3)
        return Server()(request)

    keys = [f"A-{number}" for number in range(4000)]
    found = both.ask(both.client(slow, replace(HASTY, call=10)), "estimate_complexity", keys)
    assert "too slowly" in found.reason and len(found) == 600
    found = both.ask(both.client(slow, replace(HASTY, call=9)), "estimate_complexity", keys)
    assert "has taken 9 s" in found.reason and len(found) == 600


class Dripping(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, time: Time, pieces: int, pause: float, size: int = 1) -> None:
        self.time, self.pieces, self.pause, self.size = time, pieces, pause, size

    def __iter__(self):
        for _ in range(self.pieces):
            self.time.passes(self.pause)
            yield b" " * self.size

    async def __aiter__(self):
        for piece in self:
            yield piece


def test_an_answer_that_drips_is_not_waited_for(both: Both):
    began = both.time.now
    handler = lambda request: httpx.Response(200, stream=Dripping(both.time, 100, 1))  # noqa: E731
    found = both.ask(both.client(handler, replace(HASTY, call=60, answer=5)), "estimate_complexity", ["A-1"])
    assert "too slowly" in found.reason and both.time.now - began == 6


def test_an_answer_without_end_is_not_kept(both: Both):
    handler = lambda request: httpx.Response(200, stream=Dripping(both.time, 1000, 0, 1 << 20))  # noqa: E731
    assert "bytes" in both.ask(both.client(handler), "estimate_complexity", ["A-1"]).reason


def test_a_client_that_was_told_nothing(both: Both, monkeypatch: pytest.MonkeyPatch):
    for variable in (module.URL_VARIABLE, module.KEY_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    server = Server()
    found = both.ask(both.client(server, url=None, key=None), "estimate_complexity", ["A-1"])
    assert "url" in found.reason and not both.ask(both.client(server, url=None, key=None), "is_available")
    assert "key" in both.ask(both.client(server, key=None), "estimate_complexity", ["A-1"]).reason
    assert server.requests == []
    monkeypatch.setenv(module.URL_VARIABLE, f"{URL}/")
    monkeypatch.setenv(module.KEY_VARIABLE, KEY)
    assert both.ask(both.client(server, url=None, key=None), "estimate_complexity", ["A-1"]).reason is None


@pytest.mark.parametrize(
    ("url", "key"),
    [("nonsense", KEY), ("http://[", KEY), ("ftp://ml.test", KEY), (URL, "schlüssel"), (URL, "two\nlines"), (7, KEY)],
)
def test_an_address_or_a_key_that_is_none(both: Both, url: Any, key: str):
    """Through the real transport: nothing of it reaches a network."""
    made = {"sync": MLPredictionClient, "async": AsyncMLPredictionClient}[both.kind]
    client = made(url, key, patience=HASTY)
    reason = both.ask(client, "estimate_complexity", ["A-1"]).reason
    assert reason and key not in reason and "lines" not in reason
    assert both.ask(client, "is_available") is False
    both.ask(client, "close")


def test_nobody_there(both: Both):
    made = {"sync": MLPredictionClient, "async": AsyncMLPredictionClient}[both.kind]
    client = made("http://127.0.0.1:9/api/ml", KEY, patience=HASTY)
    assert "ConnectError" in both.ask(client, "estimate_complexity", ["A-1"]).reason
    assert both.ask(client, "is_available") is False


def test_availability_is_remembered(both: Both):
    server = Server(problem(401), problem(401))
    client = both.client(server)
    assert [both.ask(client, "is_available") for _ in range(3)] == [False] * 3 and len(server.requests) == 1
    both.time.passes(HASTY.available)
    assert both.ask(client, "is_available") is False
    both.time.passes(HASTY.available)
    assert [both.ask(client, "is_available") for _ in range(3)] == [True] * 3 and len(server.requests) == 3


def test_the_key_is_not_shown(both: Both):
    client = both.client(Server())
    both.ask(client, "is_available")
    assert "secret" not in repr(client) + repr(vars(client)) + repr(client._protocol)


def test_many_loops_one_client():
    client = AsyncMLPredictionClient(URL, KEY, transport=httpx.MockTransport(Server()))
    for _ in range(3):
        assert asyncio.run(client.estimate_complexity(["A-1"])).reason is None


def test_a_call_that_is_cancelled_is():
    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        raise AssertionError

    async def work() -> None:
        async with AsyncMLPredictionClient(URL, KEY, transport=httpx.MockTransport(never)) as client:
            async with asyncio.timeout(0.1):
                await client.estimate_complexity(["A-1"])

    with pytest.raises(TimeoutError):
        asyncio.run(work())


def test_closed_and_used_again():
    with MLPredictionClient(URL, KEY, transport=httpx.MockTransport(Server())) as client:
        assert client.estimate_complexity(["A-1"]).reason is None
    assert client.estimate_complexity(["A-1"]).reason is None
    client.close()


def test_predictions_are_a_mapping():
    found = Predictions({"A": {"value": 1}}, unknown=("B",))
    assert found.get("A") == {"value": 1} and found.get("B") is None and "A" in found and bool(found)
    assert not Predictions(reason="nobody")
