"""Predictions in the platform's ETL jobs: two mixins that stand before the job's class and change nothing else of it.

    class EnhancedGitHubJob(GitHubPredictions, GitHubJob): ...
    class EnhancedJiraJob(JiraPredictions, JiraJob): ...

A job does what it did; then, where config has `ml_predictions_enabled`, its rows get their predictions as attributes.
Whatever happens on that way, the job's rows are returned.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# Relative, since a service has these two files side by side in a package of its own (docs/for-the-platform.md).
from .client import AsyncMLPredictionClient, Predictions

log = logging.getLogger(__name__)


class _WithPredictions:
    """What both jobs have: a client that the whole job shares, and whether it is used."""

    def __init__(self, client_id: int, config: Mapping[str, Any], *arguments: Any, **named: Any) -> None:
        super().__init__(client_id, config, *arguments, **named)
        self.ml_client = self.make_ml_client()
        self.ml_enabled = bool(config.get("ml_predictions_enabled", False))

    def make_ml_client(self) -> AsyncMLPredictionClient:
        """The address and the key are in the environment; a job that has them elsewhere overrides this."""
        return AsyncMLPredictionClient()

    def _add(self, rows: Iterable[Any], name: str, predicted: Predictions, fields: Mapping[str, str]) -> None:
        """Set on each row that was predicted the fields of its prediction. `name`: the attribute that names a row."""
        for row in rows:
            prediction = predicted.get(getattr(row, name))
            if prediction:
                for attribute, said in fields.items():
                    setattr(row, attribute, prediction[said])


class GitHubPredictions(_WithPredictions):
    """Open pull requests get `ml_rework_probability` and `ml_risk_level`."""

    async def process_pull_request_batch(self, pr_batch: Sequence[Mapping[str, Any]]) -> list[Any]:
        processed = await super().process_pull_request_batch(pr_batch)
        if self.ml_enabled and await self.ml_client.is_available():
            return await self.add_ml_predictions(processed)
        return processed

    async def add_ml_predictions(self, prs: list[Any]) -> list[Any]:
        try:
            by_repository: dict[str, list[Any]] = {}
            for pr in prs:
                if self.is_open(pr):
                    by_repository.setdefault(self.repository_of(pr), []).append(pr)
            fields = {"ml_rework_probability": "rework_probability", "ml_risk_level": "risk_level"}
            for repository, open_prs in by_repository.items():
                numbers = [pr.number for pr in open_prs]
                predicted = await self.ml_client.predict_rework_risk(numbers, repository=repository)
                self._add(open_prs, "number", predicted, fields)
        except Exception:
            log.warning("pull requests go on without predictions", exc_info=True)
        return prs

    def is_open(self, pr: Any) -> bool:
        return str(getattr(pr, "state", None) or getattr(pr, "status", None) or "").lower() == "open"

    def repository_of(self, pr: Any) -> str:
        """The repository's full name: numbers of pull requests begin anew in each."""
        repository = pr.repository
        return repository if isinstance(repository, str) else repository.full_name


class JiraPredictions(_WithPredictions):
    """Stories without points get `ml_estimated_story_points` and `ml_estimation_confidence`."""

    async def process_issue_batch(self, issue_batch: Sequence[Mapping[str, Any]]) -> list[Any]:
        processed = await super().process_issue_batch(issue_batch)
        if self.ml_enabled and await self.ml_client.is_available():
            return await self.add_complexity_estimates(processed)
        return processed

    async def add_complexity_estimates(self, issues: list[Any]) -> list[Any]:
        try:
            unestimated = [issue for issue in issues if self.is_unestimated(issue)]
            if unestimated:
                predicted = await self.ml_client.estimate_complexity([issue.key for issue in unestimated])
                fields = {
                    "ml_estimated_story_points": "estimated_story_points",
                    "ml_estimation_confidence": "estimation_confidence",
                }
                self._add(unestimated, "key", predicted, fields)
        except Exception:
            log.warning("issues go on without estimates", exc_info=True)
        return issues

    def is_unestimated(self, issue: Any) -> bool:
        return not issue.story_points and issue.issuetype_name == "Story"
