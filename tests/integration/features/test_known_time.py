"""No feature knows what came after its moment: without everything that happened later it is the same."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest

END = pd.Timestamp("2026-01-01")
CUT = pd.Timestamp("2025-06-15 12:00")
NOT_ASKED = ["known_at", "label"]

# What the platform would have held at the cut. Where an issue or a pull request ended later, it is open again.
FORGET = """
delete from public.issues where created > %(cut)s;
delete from public.issue_changelogs where transition_change_date > %(cut)s;
update public.issues as i
set
    work_last_completed_at = null, total_lead_time_seconds = null, resolution = null, comment_count = 0,
    assignee = null, priority = null, labels = null,
    status_id = (
        select min(s.id) from public.statuses as s where s.client_id = i.client_id and s.category = 'To Do'
    )
where work_last_completed_at > %(cut)s;
delete from public.pull_requests where pr_created_at > %(cut)s;
update public.pull_requests
set
    status = 'open', merged_at = null, closed_at = null, review_cycles = 0, rework_commit_count = 0, commit_count = 1,
    first_review_at = null, reviewers = 0, discussion_comment_count = 0, review_comment_count = 0
where merged_at > %(cut)s or closed_at > %(cut)s;
delete from public.pull_request_commits where authored_date > %(cut)s;
delete from public.pull_request_reviews where submitted_at > %(cut)s;
delete from public.pull_request_comments where created_at_github > %(cut)s;
"""


@pytest.mark.parametrize("model", ["complexity", "rework", "trajectory"])
def test_rows_before_a_cut_do_not_change_when_what_came_later_is_forgotten(
    model, training, as_client, rows_of, in_script
):
    rows = training(model, 1)
    rows = rows[rows["excluded"].isna() & (rows["moment"] <= CUT)]
    labelled = rows[rows["known_at"] <= CUT]
    unlabelled = rows[rows["known_at"].isna() | (rows["known_at"] > CUT)]
    with as_client(1, superuser=True) as connection:
        in_script(connection, FORGET, cut=CUT.to_pydatetime())
        left = rows_of(connection, model, 1)
        left = left[left["excluded"].isna()]
        censored, left = left[left["label"].isna()], left[left["label"].notna()]
        assert (censored["moment"] <= END).all() and (model == "trajectory" or censored.empty)
        assert (left["moment"] <= CUT).all() and (left["known_at"] <= CUT).all()
        assert len(left) > 100
        pd.testing.assert_frame_equal(
            left.reset_index(drop=True),
            labelled.reset_index(drop=True),
            check_exact=True,
            obj=f"{model} before the cut",
        )
        # Those whose end is forgotten are no training rows any more; asked for, they are what they were.
        for row in unlabelled.sample(min(12, len(unlabelled)), random_state=3).itertuples(index=False):
            asked = rows_of(connection, model, 1, scoring=True, as_of=row.moment, entity_ids=[row.entity_id])
            expected = pd.DataFrame([row], columns=rows.columns, dtype=object).drop(columns=NOT_ASKED)
            pd.testing.assert_frame_equal(asked.drop(columns=NOT_ASKED), expected, check_exact=True, check_dtype=False)
    if model != "complexity":  # whose labels are known from the start
        assert len(unlabelled) >= 5


@pytest.mark.parametrize("model", ["complexity", "rework", "trajectory"])
def test_only_labels_known_before_the_moment_count(model, training, as_client, rows_of):
    """`known_labels` is how many usable rows' labels were known strictly before, whatever `as_of` is."""
    rows = training(model, 1)
    with as_client(1) as connection:
        # Windows only choose the rows to learn from; history reaches back to the first label.
        everything = rows_of(connection, model, 1, window_months=1200)
        earlier = rows_of(connection, model, 1, as_of=CUT.to_pydatetime())
    everything = everything[everything["excluded"].isna() & everything["label"].notna()]
    known_at = everything.groupby("entity_id")["known_at"].first()
    usable = rows[rows["excluded"].isna()]
    for row in usable.sample(50, random_state=5).itertuples(index=False):
        assert row.known_labels == (known_at < row.moment).sum()
    earlier = earlier[earlier["excluded"].isna() & earlier["label"].notna()]
    both = earlier.merge(everything, on=["entity_id", "moment"], suffixes=("", "_later"))
    assert len(both) == len(earlier) > 100
    features = [name for name in usable.columns if name not in ("entity_id", "moment")]
    for name in features:
        assert both[name].equals(both[f"{name}_later"]), name
    assert (earlier["known_at"] <= CUT).all()
    assert (earlier["moment"] <= CUT).all()


def test_an_epic_is_asked_at_several_ages_before_it_is_done(training):
    rows = training("trajectory", 1)
    rows = rows[rows["excluded"].isna() & rows["label"].notna()]
    assert (rows["label"] > 0).all()
    assert (rows["known_at"] > rows["moment"]).all()
    ages = sorted(set(rows["age_days"]))
    assert ages == [0, 7, 14, 28, 56, 112, 168, 252][: len(ages)] and len(ages) >= 6
    for _, epic in rows.groupby("entity_id"):
        moments, left = list(epic["moment"]), [timedelta(seconds=label) for label in epic["label"]]
        assert [moment + rest for moment, rest in zip(moments, left, strict=True)] == list(epic["known_at"])
        assert [moment - moments[0] for moment in moments] == [timedelta(days=age) for age in epic["age_days"]]


def test_an_epic_that_is_open_is_asked_at_its_ages_and_has_no_end(training, as_client, rows_of):
    """Its rows are censored: features as of each age, and no label, for all that is known is that it takes longer."""
    rows = training("trajectory", 1)
    censored = rows[rows["excluded"].isna() & rows["label"].isna()]
    assert len(censored) > 50 and censored["known_at"].isna().all() and (censored["moment"] < END).all()
    with as_client(1) as connection:
        scored = rows_of(connection, "trajectory", 1, scoring=True)
    # Some have a day on which they were done and are open all the same: those are asked, and nothing is concluded.
    unclear = set(rows[rows["excluded"] == "unclear status"]["entity_id"])
    assert set(censored["entity_id"]) == set(scored[scored["excluded"].isna()]["entity_id"]) - unclear
    done = rows[rows["label"].notna()]
    assert not set(done["entity_id"]) & set(censored["entity_id"])
    # As of an earlier moment those that are done by now were open, and are censored.
    with as_client(1) as connection:
        earlier = rows_of(connection, "trajectory", 1, as_of=CUT.to_pydatetime())
    open_then = earlier[earlier["excluded"].isna() & earlier["label"].isna()]
    assert set(open_then["entity_id"]) & set(done["entity_id"])
    assert (open_then["moment"] < CUT).all()
