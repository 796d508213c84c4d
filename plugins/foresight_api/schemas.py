"""What requests and responses look like. The client is never among a request's rows: it is whoever asks."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MOST = 200

Key = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
# The platform numbers with four bytes.
Number = Annotated[int, Field(ge=1, le=2**31 - 1)]


def _in_utc(moment: datetime.datetime) -> datetime.datetime:
    return moment.replace(tzinfo=datetime.UTC) if moment.tzinfo is None else moment


# The platform's columns are UTC without saying so; an answer says it.
Moment = Annotated[datetime.datetime, AfterValidator(_in_utc)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    explain: bool = Field(False, description="Name the features that weighed most, where a trained model answered.")
    client: str | None = Field(
        None,
        min_length=1,
        max_length=63,
        description="Only for a key with the explicit grant to act for one of several clients: which one.",
    )


class TrajectoryBody(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"epic_keys": ["NWL-1877"]}]})

    epic_keys: list[Key] = Field(min_length=1, max_length=MOST)


class ComplexityBody(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"issue_keys": ["NWL-387", "NWL-1834"], "explain": True}]}
    )

    issue_keys: list[Key] = Field(min_length=1, max_length=MOST)


class ReworkBody(Body):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"repository": "northwind-labs.example/platform", "pull_request_numbers": [442, 651]}]
        },
    )

    repository: Key
    pull_request_numbers: list[Number] = Field(min_length=1, max_length=MOST)


Confidence = Literal["low", "medium", "high"]


class ReasonResponse(BaseModel):
    """A feature and its share in the answer, on the model's own scale (log-odds for a probability)."""

    feature: str
    contribution: float


class Interval(BaseModel):
    """What comes true lies between these in 50 or 80 of 100 cases; null until the first night has learned."""

    low: float
    high: float


class Dates(BaseModel):
    earliest: Moment
    latest: Moment


class Prediction(BaseModel):
    """Of an entity that cannot be predicted, `excluded` says why and the rest is null. The intervals are in the unit of
    the figure that is predicted: days of lead time, points, probability (how many such pull requests need rework)."""

    interval_50: Interval | None
    interval_80: Interval | None

    rung: str | None = Field(description="What answered: boosted, linear, recent (the simple rung) or prior.")
    model_uuid: UUID | None
    prediction_uuid: UUID = Field(description="Names this answer in the prediction log.")
    fallback_reason: str | None = Field(
        None,
        description="Why the baseline gave this prediction in place of the model in service; null when it did not.",
    )
    excluded: str | None = None
    reasons: list[ReasonResponse] | None = None


class TrajectoryPrediction(Prediction):
    key: str
    summary: str | None
    created: Moment | None
    current_lead_time_days: float | None
    predicted_lead_time_days: float | None
    predicted_completion_date: Moment | None = Field(description="As likely before as after (P50).")
    completion_date_p85: Moment | None = Field(description="85 of 100 such epics are done by then.")
    completion_dates_80: Dates | None
    confidence: Confidence | None


class ComplexityEstimate(Prediction):
    key: str
    summary: str | None
    current_story_points: float | None
    estimated_story_points: float | None
    estimation_confidence: Confidence | None


class ReworkPrediction(Prediction):
    repository: str
    number: int
    summary: str | None = Field(description="The title.")
    created: Moment | None
    rework_probability: float | None
    risk_level: str | None


class Response(BaseModel):
    unknown: list[str] = Field(description="What was asked for and this client does not have.")
    last_known: bool = Field(
        description="True when the replica did not answer and the last enrichment is given instead."
    )
    model_version: str


class TrajectoryResponse(Response):
    predictions: list[TrajectoryPrediction]
    predicted_at: Moment


class ComplexityResponse(Response):
    estimates: list[ComplexityEstimate]
    estimated_at: Moment


class ReworkResponse(Response):
    predictions: list[ReworkPrediction]
    predicted_at: Moment


class ModelResponse(BaseModel):
    model: str
    title: str
    model_version: str
    rung: str
    model_uuid: UUID | None
    version: int


class ModelCollectionResponse(BaseModel):
    client: str
    models: list[ModelResponse]


class AliveResponse(BaseModel):
    """This process, one of the server's. Of the entities that the caller's clients have asked it for, for how many it
    had the answer already; null for those who do not say who they are."""

    process: int
    cache_hits: int | None
    cache_misses: int | None


class ReadyResponse(BaseModel):
    ready: Literal[True]


class ModelHealth(BaseModel):
    """How the last night found a model. `data_as_of`: up to when the client's rows go; `model_as_of`: up to when the
    model in service had seen them. `decision`: what the gate decided last. From `trained_as_of` on: the last training,
    and what it asked of the replica; `temp_bytes` are of all that happened there meanwhile."""

    model: str
    status: Literal["healthy", "degraded", "unhealthy"]
    reason: str
    rung: str | None
    checked_at: Moment
    data_as_of: Moment | None
    replica_behind_seconds: float | None
    model_as_of: Moment | None
    decision: Literal["promote", "keep", "demote"] | None
    passed: bool | None
    judged_as_of: Moment | None
    trained_as_of: Moment | None
    seconds: float | None
    cpu_seconds: float | None
    peak_bytes: int | None
    temp_bytes: int | None
    longest_seconds: float | None
    longest_statement: str | None


class SlotHealth(BaseModel):
    """A replica's slot on the primary. Bytes of the primary's log: that the replica has not got, and that are kept."""

    active: bool
    wal_status: str | None
    bytes_behind: int | None
    bytes_kept: int | None


class HealthResponse(BaseModel):
    """Of the databases: `busy`, when they do not answer in time. `journal_backlog`: answers of this process whose log
    rows are not on the primary yet. `journal_trouble`: why the newest of them are in memory alone."""

    status: Literal["healthy", "degraded", "unhealthy"]
    replica: Literal["up", "busy", "away"]
    primary: Literal["up", "busy", "away"]
    journal_backlog: int
    journal_trouble: str | None
    slots: list[SlotHealth]
    models: list[ModelHealth]


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict] | None = None
