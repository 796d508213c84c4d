"""Predictions: epics, issues, pull requests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from fastapi import APIRouter, Request

from foresight_api import metrics
from foresight_api.dependencies import Caller, CallerDep, ServiceDep, client_for, in_thread
from foresight_api.errors import RESPONSES
from foresight_api.schemas import (
    Body,
    ComplexityBody,
    ComplexityEstimate,
    ComplexityResponse,
    Dates,
    Interval,
    ReasonResponse,
    ReworkBody,
    ReworkPrediction,
    ReworkResponse,
    TrajectoryBody,
    TrajectoryPrediction,
    TrajectoryResponse,
)
from foresight_api.service import Service
from include.foresight.serving import Answer, Answers, Asked

router = APIRouter(tags=["predictions"], responses=RESPONSES)

DAY = 86400.0
# As far as a date makes sense; beyond it Python has none either.
CENTURY = 36525 * DAY


@router.post("/predict-trajectory")
async def predict_trajectory(
    body: TrajectoryBody, request: Request, service: ServiceDep, caller: CallerDep
) -> TrajectoryResponse:
    """When epics will be done."""
    answers = await ask(request, service, caller, body, "trajectory", Asked(keys=unique(body.epic_keys)))
    return TrajectoryResponse(
        predictions=[trajectory(one, answers) for one in answers.answers],
        predicted_at=answers.predicted_at,
        **common(answers),
    )


@router.post("/estimate-complexity")
async def estimate_complexity(
    body: ComplexityBody, request: Request, service: ServiceDep, caller: CallerDep
) -> ComplexityResponse:
    """How many story points issues are worth."""
    answers = await ask(request, service, caller, body, "complexity", Asked(keys=unique(body.issue_keys)))
    return ComplexityResponse(
        estimates=[
            ComplexityEstimate(
                key=one.entity["key"],
                summary=one.entity["summary"],
                current_story_points=one.entity["story_points"],
                estimated_story_points=None if one.value is None else round(one.value, 1),
                estimation_confidence=one.grade,
                **prediction(one),
                **intervals(one, lambda points: round(points, 2)),
            )
            for one in answers.answers
        ],
        estimated_at=answers.predicted_at,
        **common(answers),
    )


@router.post("/predict-rework")
async def predict_rework(body: ReworkBody, request: Request, service: ServiceDep, caller: CallerDep) -> ReworkResponse:
    """How likely pull requests of one repository are to need rework."""
    asked = Asked(repository=body.repository, numbers=unique(body.pull_request_numbers))
    answers = await ask(request, service, caller, body, "rework", asked)
    return ReworkResponse(
        predictions=[
            ReworkPrediction(
                repository=one.entity["repository"],
                number=int(one.entity["number"]),
                summary=one.entity["title"],
                created=one.entity["created"],
                rework_probability=one.value,
                risk_level=one.grade,
                **prediction(one),
                **intervals(one, lambda share: share),
            )
            for one in answers.answers
        ],
        predicted_at=answers.predicted_at,
        **common(answers),
    )


async def ask(request: Request, service: Service, caller: Caller, body: Body, model: str, asked: Asked) -> Answers:
    client = await client_for(request, service, caller, body.client)

    def work() -> Answers:
        return service.predictor.predict(client, model, asked, explain=body.explain)

    with metrics.request(client.slug, model):
        found = await in_thread(request, work)
    metrics.ENTITIES.labels(client.slug, model).inc(len(found.answers))
    return found


def trajectory(one: Answer, answers: Answers) -> TrajectoryPrediction:
    created, value = one.entity["created"], one.value
    # Counted as the answers' moment has it: the seconds that remain from then on.
    moment = (one.entity.get("as_of") or answers.as_of).replace(tzinfo=None)
    age = (moment - created).total_seconds() if created is not None else None

    def date(seconds: float | None) -> datetime | None:
        return None if seconds is None else moment + timedelta(seconds=min(seconds, CENTURY))

    said = one.ranges or {}
    return TrajectoryPrediction(
        key=one.entity["key"],
        summary=one.entity["summary"],
        created=created,
        current_lead_time_days=None if age is None else age / DAY,
        predicted_lead_time_days=None if value is None or age is None else (age + value) / DAY,
        predicted_completion_date=date(value),
        completion_date_p85=date(said.get("p85")),
        completion_dates_80=Dates(earliest=date(said["low_80"]), latest=date(said["high_80"])) if said else None,
        confidence=one.grade,
        **prediction(one),
        **intervals(one, lambda seconds: None if age is None else (age + seconds) / DAY),
    )


def prediction(one: Answer) -> dict:
    reasons = one.reasons
    return {
        "rung": one.rung,
        "model_uuid": one.model_uuid,
        "prediction_uuid": one.prediction_uuid,
        "fallback_reason": one.fallback,
        "excluded": one.excluded,
        "reasons": None
        if reasons is None
        else [ReasonResponse(feature=reason.feature, contribution=reason.contribution) for reason in reasons],
    }


def intervals(one: Answer, told: Callable[[float], float | None]) -> dict:
    """`told`: from the unit of the answers to that of the response; None where that has none."""
    found = {}
    for share in (50, 80):
        said = one.ranges or {}
        low, high = (told(said[f"{end}_{share}"]) if said else None for end in ("low", "high"))
        found[f"interval_{share}"] = None if low is None or high is None else Interval(low=low, high=high)
    return found


def common(answers: Answers) -> dict:
    return {
        "unknown": list(answers.unknown),
        "last_known": answers.last_known,
        "model_version": answers.model_version,
    }


def unique(values: list) -> tuple:
    """In the order in which they were asked for, each once."""
    return tuple(dict.fromkeys(values))
