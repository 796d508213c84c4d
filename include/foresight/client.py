"""MLPredictionClient: the prediction API for ETL code, which it never breaks: no answer is an empty one with a reason.

This file needs httpx and nothing else of this project, so that a service can have it by copying it
(docs/for-the-platform.md). What is sent and what an answer means is written once, as generators that yield what they
want done; the two classes differ in how they send and wait.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

log = logging.getLogger(__name__)

URL_VARIABLE = "FORESIGHT_API_URL"
KEY_VARIABLE = "FORESIGHT_API_KEY"

# What the API takes: names in a list, characters of a name, the largest number of a pull request.
MOST = 200
LONGEST = 255
LARGEST = 2**31 - 1
# No answer of the API is as large; what is larger comes from something else.
LARGEST_ANSWER = 16 * 1024 * 1024
LONGEST_REASON = 300

Found = TypeVar("Found")


@dataclass(frozen=True)
class Patience:
    """How long the caller waits, in seconds, and how often he asks."""

    connect: float = 2.0
    # The server ends a request of its own after ten seconds.
    answer: float = 12.0
    # One call with all its requests, retries and pauses.
    call: float = 30.0
    attempts: int = 3
    # Before the second attempt; doubled for each further one, and a random part of that is waited.
    pause: float = 0.2
    longest_pause: float = 5.0
    # After so many failures in a row the server is left alone for `rest`.
    failures: int = 5
    rest: float = 30.0
    # How long the answer of `is_available` holds.
    available: float = 10.0


@dataclass(frozen=True)
class Clock:
    """Seconds that pass, and how to let some pass; tests have one of their own."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep


CLOCK = Clock()


@dataclass(frozen=True, eq=False)
class Predictions(Mapping):
    """What was predicted: the API's own fields, by key of the issue or number of the pull request.

    `reason`: why nothing, or not everything, was answered; None when all was. `unknown`: asked for and not the
    client's. `excluded`: why an entity cannot be predicted, by key or number. `last_known`: the replica was away, so
    some of it is the last enrichment's.
    """

    found: Mapping[Any, Mapping[str, Any]] = field(default_factory=dict)
    reason: str | None = None
    unknown: tuple[Any, ...] = ()
    excluded: Mapping[Any, str] = field(default_factory=dict)
    last_known: bool = False
    model_version: str | None = None

    def __getitem__(self, key: Any) -> Mapping[str, Any]:
        return self.found[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)


class Breaker:
    """After some failures in a row a server is left alone for a while; then one request tries for all."""

    def __init__(self, failures: int, rest: float, clock: Clock = CLOCK) -> None:
        self._failures, self._rest, self._now = failures, rest, clock.now
        self._lock = threading.Lock()
        self._in_a_row, self._rests_until, self._last = 0, 0.0, ""

    def refusal(self) -> str | None:
        """Why no request is made now. None gives the right to make one."""
        with self._lock:
            if self._in_a_row < self._failures:
                return None
            left = self._rests_until - self._now()
            if left > 0:
                return (
                    f"left alone for {left:.0f} s more after {self._in_a_row} failures in a row; the last: {self._last}"
                )
            # Others wait until this one has said how it went; should it never say, the next is let through later.
            self._rests_until = self._now() + self._rest
            return None

    def succeeded(self) -> None:
        with self._lock:
            self._in_a_row = 0

    def failed(self, why: str) -> None:
        with self._lock:
            self._in_a_row, self._last = self._in_a_row + 1, why
            self._rests_until = self._now() + self._rest

    @property
    def refuses(self) -> bool:
        """Whether a request would be refused; asking takes nobody's turn."""
        with self._lock:
            return self._in_a_row >= self._failures and self._rests_until > self._now()


@dataclass(frozen=True)
class Send:
    """A request that a generator wants sent; it is sent back a Reply, or the exception that was raised."""

    method: str
    url: str
    parameters: Mapping[str, str]
    content: bytes | None
    timeout: httpx.Timeout
    deadline: float
    clock: Clock

    def request(self) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"} if self.content is not None else {}
        return {
            "method": self.method,
            "url": self.url,
            "params": self.parameters,
            "content": self.content,
            "headers": headers,
            "timeout": self.timeout,
        }

    def body(self) -> Body:
        return Body(self.deadline, self.clock)


class Body:
    """An answer as it comes in. httpx times each piece, not the whole: a server that drips would hold a caller."""

    def __init__(self, deadline: float, clock: Clock) -> None:
        self._deadline, self._now, self._pieces, self._size = deadline, clock.now, [], 0

    def add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > LARGEST_ANSWER:
            raise Failed(f"the answer has more than {LARGEST_ANSWER} bytes")
        if self._now() > self._deadline:
            raise httpx.ReadTimeout("the answer comes too slowly")
        self._pieces.append(piece)

    def all(self) -> bytes:
        return b"".join(self._pieces)


@dataclass(frozen=True)
class Wait:
    """A pause that a generator wants made, in seconds."""

    seconds: float


@dataclass(frozen=True)
class Reply:
    status: int
    retry_after: str | None
    content: bytes


Steps = Generator[Send | Wait, Any, Found]


class Failed(Exception):
    """There is no answer, and why. Does not leave this module."""


class Protocol:
    """What is sent, what may be sent again, and what an answer means."""

    def __init__(
        self, url: str | None, key: str | None, client: str | None, patience: Patience, clock: Clock = CLOCK
    ) -> None:
        self.url = str(url or os.environ.get(URL_VARIABLE) or "").rstrip("/")
        self.key = str(key or os.environ.get(KEY_VARIABLE) or "").strip()
        self.client, self.patience, self.clock = client, patience, clock
        self.breaker = Breaker(patience.failures, patience.rest, clock)
        self._available: tuple[bool, float] = (False, float("-inf"))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r}, client={self.client!r})"

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}", "Accept": "application/json"}

    def available(self) -> Steps[bool]:
        """Whether a server answers that lets this caller in; asked anew after `patience.available` seconds."""
        known, until = self._available
        if self.breaker.refuses:
            return False
        if self.clock.now() < until:
            return known
        try:
            yield from self._exchange("GET", "/health", None, self._deadline(), attempts=1)
            known = True
        except Exception as error:  # Failed, or a fault of this file's
            log.warning("the prediction API is not available: %s", _short(str(error)))
            known = False
        self._available = (known, self.clock.now() + self.patience.available)
        return known

    def issues(self, path: str, listed: str, answered: str, keys: Iterable[str], explain: bool) -> Steps[Predictions]:
        return self._predictions(path, listed, answered, "key", keys, _is_key, {"explain": explain})

    def pull_requests(self, repository: str, numbers: Iterable[int], explain: bool) -> Steps[Predictions]:
        body = {"repository": repository, "explain": explain}
        listed = "pull_request_numbers"
        return self._predictions("/predict-rework", listed, "predictions", "number", numbers, _is_number, body)

    def _predictions(
        self, path: str, listed: str, answered: str, name: str, asked: Iterable[Any], usable: Any, body: dict[str, Any]
    ) -> Steps[Predictions]:
        found: dict[Any, Mapping[str, Any]] = {}
        excluded: dict[Any, str] = {}
        unknown: list[Any] = []
        reason = version = None
        last_known = False
        try:
            if isinstance(asked, str) or not _is_key(body.get("repository", "any")):
                raise Failed(f"no list of names, or no repository: {listed} {asked!r:.40}")
            names: list[Any] = []
            for one in asked:
                # One name that the API would refuse must not cost the others of its list their answers.
                (names if usable(one) else unknown).append(one)
            names = list(dict.fromkeys(names))
            if self.client is not None:
                body = body | {"client": self.client}
            deadline = self._deadline()
            for start in range(0, len(names), MOST):
                batch = names[start : start + MOST]
                answer = yield from self._exchange("POST", path, body | {listed: batch}, deadline)
                rows, missing = _rows(answer, answered, name)
                for row in rows:
                    if row.get("excluded"):
                        excluded[row[name]] = str(row["excluded"])
                    else:
                        found[row[name]] = row
                gone = set(map(str, missing))
                unknown += [one for one in batch if str(one) in gone]
                last_known = last_known or bool(answer.get("last_known"))
                version = answer.get("model_version", version)
        except Failed as failed:
            # The next list would fare no better.
            reason = str(failed)
        except Exception as error:  # a fault of this file's must not break a job either
            log.exception("no predictions: a fault of the client")
            reason = _short(f"a fault of the client: {type(error).__name__}: {error}")
        if reason:
            log.warning("%s of the predictions of %s: %s", "some" if found else "none", path.strip("/"), reason)
        return Predictions(found, reason, tuple(unknown), excluded, last_known, version)

    def _exchange(
        self, method: str, path: str, body: Mapping[str, Any] | None, deadline: float, attempts: int | None = None
    ) -> Steps[dict[str, Any]]:
        """One request, asked again where that is safe and may help; the answer's object. Raises Failed."""
        if not self.url or not self.key:
            missing = f"url (or {URL_VARIABLE})" if not self.url else f"key (or {KEY_VARIABLE})"
            raise Failed(f"the client has no {missing}")
        if not (self.key.isascii() and self.key.isprintable()):
            # httpx would say so too, with the key.
            raise Failed("the key is no key: it has characters that no header may have")
        parameters = {"client": self.client} if body is None and self.client else {}
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        attempts = attempts or self.patience.attempts
        for attempt in range(attempts):
            left = deadline - self.clock.now()
            if left <= 0:
                raise Failed(f"the call has taken {self.patience.call:g} s already")
            if refusal := self.breaker.refusal():
                raise Failed(refusal)
            timeout = httpx.Timeout(min(self.patience.answer, left), connect=min(self.patience.connect, left))
            reply = yield Send(
                method,
                self.url + path,
                parameters,
                content,
                timeout,
                min(deadline, self.clock.now() + self.patience.answer),
                self.clock,
            )
            if isinstance(reply, Reply) and reply.status < 500 and reply.status != 429:
                # A server that refuses is well.
                self.breaker.succeeded()
                return _object(reply)
            why = _why(reply)
            self.breaker.failed(why)
            pause = self._pause(attempt, reply)
            last = attempt + 1 == attempts or not _may_be_asked_again(reply)
            if last or pause > deadline - self.clock.now() or self.breaker.refuses:
                raise Failed(why)
            yield Wait(pause)
        raise AssertionError("unreachable")

    def _pause(self, attempt: int, reply: Reply | Exception) -> float:
        """Not the same for every caller, or all of them would come back together; what the server says is the least."""
        drawn = random.uniform(0.5, 1.0) * min(self.patience.pause * 2**attempt, self.patience.longest_pause)
        stated = reply.retry_after if isinstance(reply, Reply) else None
        return max(drawn, min(float(stated), 3600.0)) if stated and stated.isascii() and stated.isdigit() else drawn

    def _deadline(self) -> float:
        return self.clock.now() + self.patience.call


def _is_key(one: Any) -> bool:
    return isinstance(one, str) and 0 < len(one) <= LONGEST and "\0" not in one and _is_text(one)


def _is_text(one: str) -> bool:
    """Half of a surrogate pair is a character of Python's and of nobody else's."""
    return not any("\ud800" <= character <= "\udfff" for character in one)


def _is_number(one: Any) -> bool:
    return isinstance(one, int) and not isinstance(one, bool) and 1 <= one <= LARGEST


def _may_be_asked_again(reply: Reply | Exception) -> bool:
    """A prediction changes nothing, so it may be asked twice. It is not where the server has begun to work and is slow:
    it would have the same work twice."""
    if isinstance(reply, Reply):
        return reply.status in (429, 502, 503, 504)
    return isinstance(reply, httpx.NetworkError | httpx.RemoteProtocolError | httpx.ConnectTimeout | httpx.PoolTimeout)


def _why(reply: Reply | Exception) -> str:
    if isinstance(reply, Failed):
        return str(reply)
    if isinstance(reply, Exception):
        return _short(f"{type(reply).__name__}: {reply}")
    try:
        problem = json.loads(reply.content)
        said = f"{problem['title']}: {problem['detail']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        said = "not in words of the prediction API; is the address right?"
    return _short(f"HTTP {reply.status}: {said}")


def _short(text: str) -> str:
    return " ".join(text.split())[:LONGEST_REASON]


def _object(reply: Reply) -> dict[str, Any]:
    if reply.status != 200:
        raise Failed(_why(reply))
    try:
        answer = json.loads(reply.content)
    except (ValueError, RecursionError) as error:
        raise Failed("the answer is no JSON; is the address that of the prediction API?") from error
    if not isinstance(answer, dict):
        raise Failed("the answer is no object; is the address that of the prediction API?")
    return answer


def _rows(answer: Mapping[str, Any], answered: str, name: str) -> tuple[Sequence[dict[str, Any]], Sequence[Any]]:
    rows, unknown = answer.get(answered), answer.get("unknown")
    whole = isinstance(rows, list) and all(
        isinstance(row, dict) and isinstance(row.get(name), str | int) for row in rows
    )
    if not whole or not isinstance(unknown, list):
        raise Failed(f"the answer has no '{answered}' and 'unknown'; is the server of this version?")
    return rows, unknown


class MLPredictionClient:
    """Predictions for code that waits. May be used by several threads at once.

    `url`: with the path, such as https://ml.example/api/ml; without it, FORESIGHT_API_URL. `key`: a service key;
    without it, FORESIGHT_API_KEY. `client`: for a key that acts for several clients, which one. No method raises.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        client: str | None = None,
        patience: Patience | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Clock = CLOCK,
    ) -> None:
        self._protocol = Protocol(url, key, client, patience or Patience(), clock)
        self._transport, self._lock = transport, threading.Lock()
        self._http: httpx.Client | None = None

    def is_available(self) -> bool:
        """Whether there is a server that lets this caller in. Asked at most every ten seconds."""
        return self._run(self._protocol.available())

    def predict_rework_risk(self, numbers: Iterable[int], *, repository: str, explain: bool = False) -> Predictions:
        """By number of the pull request: rework_probability, risk_level and more."""
        return self._run(self._protocol.pull_requests(repository, numbers, explain))

    def estimate_complexity(self, issue_keys: Iterable[str], *, explain: bool = False) -> Predictions:
        """By key of the issue: estimated_story_points, estimation_confidence and more."""
        return self._run(self._protocol.issues("/estimate-complexity", "issue_keys", "estimates", issue_keys, explain))

    def predict_trajectory(self, epic_keys: Iterable[str], *, explain: bool = False) -> Predictions:
        """By key of the epic: predicted_lead_time_days, predicted_completion_date and more."""
        return self._run(self._protocol.issues("/predict-trajectory", "epic_keys", "predictions", epic_keys, explain))

    def close(self) -> None:
        with self._lock:
            http, self._http = self._http, None
        if http is not None:
            http.close()

    def __enter__(self) -> MLPredictionClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, steps: Steps[Found]) -> Found:
        result: Any = None
        try:
            while True:
                step = steps.send(result)
                if isinstance(step, Wait):
                    result = self._protocol.clock.sleep(step.seconds)
                    continue
                try:
                    result = self._send(step)
                except Exception as error:  # told in the answer, whatever it is
                    result = error
        except StopIteration as end:
            return end.value

    def _send(self, step: Send) -> Reply:
        with self._lock:
            if self._http is None:
                self._http = httpx.Client(headers=self._protocol.headers(), transport=self._transport)
            http = self._http
        with http.stream(**step.request()) as response:
            body = step.body()
            for piece in response.iter_bytes():
                body.add(piece)
            return Reply(response.status_code, response.headers.get("retry-after"), body.all())


class AsyncMLPredictionClient:
    """MLPredictionClient for code that awaits; the same in everything else."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        client: str | None = None,
        patience: Patience | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Clock = CLOCK,
    ) -> None:
        self._protocol = Protocol(url, key, client, patience or Patience(), clock)
        self._transport = transport
        self._http: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def is_available(self) -> bool:
        """Whether there is a server that lets this caller in. Asked at most every ten seconds."""
        return await self._run(self._protocol.available())

    async def predict_rework_risk(
        self, numbers: Iterable[int], *, repository: str, explain: bool = False
    ) -> Predictions:
        """By number of the pull request: rework_probability, risk_level and more."""
        return await self._run(self._protocol.pull_requests(repository, numbers, explain))

    async def estimate_complexity(self, issue_keys: Iterable[str], *, explain: bool = False) -> Predictions:
        """By key of the issue: estimated_story_points, estimation_confidence and more."""
        return await self._run(
            self._protocol.issues("/estimate-complexity", "issue_keys", "estimates", issue_keys, explain)
        )

    async def predict_trajectory(self, epic_keys: Iterable[str], *, explain: bool = False) -> Predictions:
        """By key of the epic: predicted_lead_time_days, predicted_completion_date and more."""
        return await self._run(
            self._protocol.issues("/predict-trajectory", "epic_keys", "predictions", epic_keys, explain)
        )

    async def close(self) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def __aenter__(self) -> AsyncMLPredictionClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self, steps: Steps[Found]) -> Found:
        result: Any = None
        try:
            while True:
                step = steps.send(result)
                if isinstance(step, Wait):
                    result = await self._protocol.clock.wait(step.seconds)
                    continue
                try:
                    result = await self._send(step)
                except Exception as error:  # told in the answer, whatever it is
                    result = error
        except StopIteration as end:
            return end.value

    async def _send(self, step: Send) -> Reply:
        loop = asyncio.get_running_loop()
        if self._http is None or self._loop is not loop:
            # Connections belong to a loop; a job that is run by asyncio.run each time has a new one each time.
            self._http = httpx.AsyncClient(headers=self._protocol.headers(), transport=self._transport)
            self._loop = loop
        async with self._http.stream(**step.request()) as response:
            body = step.body()
            async for piece in response.aiter_bytes():
                body.add(piece)
            return Reply(response.status_code, response.headers.get("retry-after"), body.all())
