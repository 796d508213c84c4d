"""What the models, the checks and the reader of a report rely on in the generated clients."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from demo.generator import Generated, generate
from demo.issues import status_lookup

END = datetime(2026, 3, 10, 9)
LARGE, MEDIUM, TINY = 1, 2, 3


@pytest.fixture(scope="module")
def generated() -> Generated:
    return generate(seed=0, end=END)


def of(generated: Generated, table: str, client: int) -> pd.DataFrame:
    frame = generated.tables[table]
    return frame[frame["client_id"] == client]


def found(generated: Generated, kind: str) -> int:
    return sum(kinds.get(kind, 0) for kinds in generated.dirt.values())


def test_same_arguments_same_rows(generated: Generated):
    again = generate(seed=0, end=END)
    assert list(again.tables) == list(generated.tables)
    for table, frame in generated.tables.items():
        pd.testing.assert_frame_equal(frame, again.tables[table])


def test_another_seed_is_another_history(generated: Generated):
    other = generate(seed=1, end=END)
    assert not other.tables["issues"]["summary"].equals(generated.tables["issues"]["summary"])


def test_a_later_end_moves_everything_along(generated: Generated):
    days = timedelta(days=7)
    later = generate(seed=0, end=END + days).tables["pull_requests"]
    now = generated.tables["pull_requests"]
    pd.testing.assert_series_equal(later["pr_created_at"], now["pr_created_at"] + days, check_dtype=False)
    pd.testing.assert_series_equal(later["review_cycles"], now["review_cycles"])


@pytest.mark.parametrize(
    ("client", "issues", "pull_requests", "epics"),
    [
        (LARGE, (5_500, 6_500), 3_000, (250, 320)),
        (MEDIUM, (2_200, 2_800), 1_200, (80, 100)),
        (TINY, (20, 30), 8, (1, 3)),
    ],
)
def test_sizes(generated: Generated, client: int, issues: tuple, pull_requests: int, epics: tuple):
    rows = of(generated, "issues", client)
    types = generated.tables["issuetypes"].set_index("id")["original_name"]
    assert issues[0] <= len(rows) <= issues[1]
    assert len(of(generated, "pull_requests", client)) == pull_requests
    assert epics[0] <= (rows["issuetype_id"].map(types) == "Epic").sum() <= epics[1]


def test_one_name_has_what_breaks_quoting(generated: Generated):
    names = generated.tables["clients"]["name"]
    assert any("'" in name and not name.isascii() for name in names)


def test_there_is_something_to_enrich(generated: Generated):
    types = generated.tables["issuetypes"].set_index("id")["original_name"]
    for client, least in ((LARGE, 20), (MEDIUM, 5)):
        issues = of(generated, "issues", client)
        open_still = issues["resolution"].isna()
        kind = issues["issuetype_id"].map(types)
        assert (open_still & (kind == "Epic")).sum() >= least
        assert (open_still & kind.isin(["Story", "Task", "Bug"]) & issues["story_points"].isna()).sum() >= least
        assert (of(generated, "pull_requests", client)["status"] == "open").sum() >= least


def test_points_and_lead_times_are_skewed(generated: Generated):
    issues = of(generated, "issues", LARGE)
    points = issues["story_points"].dropna().astype(float)
    assert set(points.unique()) >= {1, 2, 3, 5, 8, 13, 21}
    assert points.median() <= 3 < points.mean() + 1
    lead = issues["total_lead_time_seconds"]
    lead = lead[lead > 0] / 86_400
    assert lead.mean() > 1.5 * lead.median()
    assert lead.max() > 20 * lead.median()


def test_every_row_is_of_its_own_client(generated: Generated):
    """What a row names belongs to the same client, but for what dirt says is nowhere."""
    tables = generated.tables
    for table, column, target in [
        ("issues", "issuetype_id", "issuetypes"),
        ("issues", "status_id", "statuses"),
        ("issue_changelogs", "issue_id", "issues"),
        ("issue_changelogs", "to_status_id", "statuses"),
        ("pull_requests", "repository_id", "repositories"),
        ("pull_requests", "issue_id", "issues"),
        ("pull_request_reviews", "pull_request_id", "pull_requests"),
        ("pull_request_commits", "pull_request_id", "pull_requests"),
        ("pull_request_comments", "pull_request_id", "pull_requests"),
        ("jira_pull_request_links", "issue_id", "issues"),
    ]:
        rows = tables[table].dropna(subset=[column])
        owner = rows[column].astype(int).map(tables[target].set_index("id")["client_id"])
        assert (owner == rows["client_id"]).all(), (table, column)
    orphans = ~tables["issues"]["project_id"].isin(tables["projects"]["id"])
    assert orphans.sum() == found(generated, "issues of a project that is not there")


def test_nothing_is_known_from_after_the_end(generated: Generated):
    for table, frame in generated.tables.items():
        for column in frame.select_dtypes("datetime"):
            late = (frame[column] > END).sum()
            dirty = found(generated, "issues created in the future") if (table, column) == ("issues", "created") else 0
            assert late == dirty, (table, column)


def test_issues_agree_with_their_changelog(generated: Generated):
    issues = generated.tables["issues"].set_index("id")
    log = generated.tables["issue_changelogs"].sort_values(["issue_id", "transition_change_date", "id"])
    steps = generated.tables["status_mappings"].set_index("id")["status_to"]
    step = generated.tables["statuses"].set_index("id")["status_mapping_id"].map(steps)
    log = log.assign(step=log["to_status_id"].map(step), left=log["from_status_id"].map(step))

    chained = log.groupby("issue_id")["to_status_id"].shift(1)
    assert (chained.isna() | (chained == log["from_status_id"])).all()
    last = log.groupby("issue_id")["to_status_id"].last()
    status = issues["status_id"].dropna().reindex(last.index).dropna()
    assert (status == last.reindex(status.index)).all()

    completed = log[log["step"] == "Done"].groupby("issue_id")["transition_change_date"]
    pd.testing.assert_series_equal(
        issues["work_last_completed_at"].dropna(),
        completed.max().sort_index(),
        check_names=False,
        check_index_type=False,
    )
    starts = log[log["step"] == "In Progress"].groupby("issue_id").size().reindex(issues.index, fill_value=0)
    assert (issues["total_work_starts"] == starts).all()
    returns = log[(log["step"] == "Backlog") & (log["left"] != "Backlog")].groupby("issue_id").size()
    assert (issues["total_backlog_returns"] == returns.reindex(issues.index, fill_value=0)).all()

    lead = (issues["work_last_completed_at"] - issues["created"]).dt.total_seconds()
    wrong = issues["total_lead_time_seconds"].notna() & (lead != issues["total_lead_time_seconds"])
    assert wrong.sum() == 0
    backwards = (issues["total_lead_time_seconds"] < 0).sum()
    assert backwards == found(generated, "issues completed before they were created") > 0


def test_children_live_within_their_epics(generated: Generated):
    issues = of(generated, "issues", LARGE)
    # Those that dirt moved are out of place on purpose.
    moved = (issues["total_lead_time_seconds"] < 0) | (issues["created"] > END) | (issues["created"].dt.year == 1970)
    issues = issues[~moved]
    epics = issues[["external_id", "created", "work_last_completed_at", "issuetype_id"]]
    joined = issues.merge(epics, left_on="parent_external_id", right_on="external_id", suffixes=("", "_epic"))
    types = generated.tables["issuetypes"].set_index("id")["original_name"]
    joined = joined[joined["issuetype_id_epic"].map(types) == "Epic"]
    assert len(joined) > 2_000
    assert not (joined["created"] < joined["created_epic"]).any()
    assert not (joined["work_last_completed_at"] > joined["work_last_completed_at_epic"]).any()


def test_pull_requests_agree_with_their_events(generated: Generated):
    pulls = generated.tables["pull_requests"].set_index("id")
    reviews, commits, comments = (
        generated.tables[f"pull_request_{kind}"] for kind in ("reviews", "commits", "comments")
    )

    def count(rows: pd.DataFrame) -> pd.Series:
        return rows.groupby("pull_request_id").size().reindex(pulls.index, fill_value=0)

    assert (pulls["commit_count"] != count(commits)).sum() == found(generated, "pull requests without a commit") > 0
    kind = "pull requests whose reviews were never counted"
    uncounted = pulls["review_cycles"].isna()
    assert uncounted.sum() == found(generated, kind) > 0
    assert (uncounted | (pulls["review_cycles"] == count(reviews))).all()
    first = reviews.groupby("pull_request_id")["submitted_at"].min().reindex(pulls.index)
    assert (first.isna() == pulls["first_review_at"].isna()).all()
    assert (first.dropna() == pulls["first_review_at"].dropna()).all()
    rework = commits[commits["committed_date"] > commits["pull_request_id"].map(pulls["first_review_at"])]
    assert (uncounted | (pulls["rework_commit_count"] == count(rework))).all()
    inline = comments["comment_type"] == "review"
    assert (pulls["review_comment_count"] == count(comments[inline])).all()
    assert (pulls["discussion_comment_count"] == count(comments[~inline])).all()
    reviewers = reviews.groupby("pull_request_id")["author_login"].nunique().reindex(pulls.index, fill_value=0)
    assert (pulls["reviewers"] == reviewers).all()
    assert (
        (commits["committed_date"] <= commits["pull_request_id"].map(pulls["pr_created_at"]))
        .groupby(commits["pull_request_id"])
        .any()
        .reindex(pulls.index, fill_value=False)
        .all()
    ), "every pull request has a commit when it opens"


def test_status_of_a_pull_request_says_what_its_dates_say(generated: Generated):
    pulls = generated.tables["pull_requests"]
    assert ((pulls["status"] == "merged") == pulls["merged_at"].notna()).all()
    assert ((pulls["status"] == "open") == pulls["closed_at"].isna()).all()
    early = (pulls["merged_at"] < pulls["pr_created_at"]).sum()
    assert early == found(generated, "pull requests merged before they were opened") > 0


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        ("issues of 0 points", lambda issues, _: issues["story_points"] == 0),
        ("issues without a summary", lambda issues, _: issues["summary"].isna() | (issues["summary"] == "")),
        ("issues created in 1970", lambda issues, _: issues["created"].dt.year == 1970),
        ("issues without a status", lambda issues, _: issues["status_id"].isna()),
        ("issues with another's key", lambda issues, _: issues.duplicated(["client_id", "key"])),
        ("pull requests without a file", lambda _, pulls: pulls["changed_files"] == 0),
        ("pull requests with another's number", lambda _, pulls: pulls.duplicated(["repository_id", "number"])),
        ("pull requests with negative additions", lambda _, pulls: pulls["additions"] < 0),
    ],
)
def test_dirt_is_there_as_often_as_is_said(generated: Generated, kind: str, rows):
    spoilt = rows(generated.tables["issues"], generated.tables["pull_requests"])
    assert spoilt.sum() == found(generated, kind) > 0


def test_the_tiny_client_is_clean(generated: Generated):
    assert generated.dirt["Tiny Tern"] == {}


def gain_of_first_words(generated: Generated, client: int) -> float:
    """How much of the spread of log points on later issues the first word of the summary explains."""
    types = generated.tables["issuetypes"].set_index("id")["original_name"]
    issues = of(generated, "issues", client)
    rows = issues[issues["issuetype_id"].map(types).isin(["Story", "Task"]) & issues["story_points"].between(1, 21)]
    rows = rows.dropna(subset=["summary"]).sort_values("created")
    word, points = rows["summary"].str.split().str[0], np.log(rows["story_points"].astype(float))
    cut = int(len(rows) * 0.75)
    known = points[:cut].groupby(word[:cut]).mean()
    later, guess = points[cut:], word[cut:].map(known).fillna(points[:cut].mean())
    return float(np.corrcoef(later, guess)[0, 1] ** 2)


def test_words_tell_about_points_for_one_client_and_not_for_another(generated: Generated):
    assert gain_of_first_words(generated, LARGE) > 0.1
    assert gain_of_first_words(generated, MEDIUM) < 0.03


def test_rework_can_be_told_from_the_opening_for_one_client_and_not_for_another(generated: Generated):
    """Rework is commoner among the authors who had much of it before."""
    gaps = {}
    for client in (LARGE, MEDIUM):
        pulls = of(generated, "pull_requests", client).dropna(subset=["merged_at", "review_cycles", "user_name"])
        pulls = pulls.sort_values("pr_created_at")
        rework = (pulls["review_cycles"] > 2) | (pulls["rework_commit_count"] > 3)
        assert 0.08 < rework.mean() < 0.4
        half = len(pulls) // 2
        before = rework[:half].groupby(pulls["user_name"][:half]).mean()
        rate = pulls["user_name"][half:].map(before).dropna()
        later = rework[half:].reindex(rate.index)
        gaps[client] = later[rate > rate.median()].mean() - later[rate <= rate.median()].mean()
    assert gaps[LARGE] > 0.1
    assert gaps[LARGE] > 2 * abs(gaps[MEDIUM])


def test_an_issue_uses_one_of_two_statuses_of_a_step():
    lookup = status_lookup([np.array([7]), np.array([8, 9])], np.array([[False, False], [True, True]]))
    assert lookup.tolist() == [[7, 8], [7, 9]]
