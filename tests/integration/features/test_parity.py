"""What a model learns from is what it is asked with: a training row, asked for again at its moment, is the same row."""

from __future__ import annotations

import pandas as pd
import pytest

SAMPLE = {1: 34, 2: 28}
NOT_ASKED = ["known_at", "label"]


@pytest.mark.parametrize("client_id", SAMPLE)
@pytest.mark.parametrize("model", ["complexity", "rework", "trajectory"])
def test_a_training_row_is_scored_with_the_same_features(model, client_id, training, as_client, rows_of):
    rows = training(model, client_id)
    rows = rows[rows["excluded"].isna()]
    sample = rows.sample(SAMPLE[client_id], random_state=7)
    scored = []
    with as_client(client_id) as connection:
        for moment, at_once in sample.groupby("moment"):
            entity_ids = at_once["entity_id"].tolist()
            scored.append(
                rows_of(connection, model, client_id, scoring=True, as_of=moment.to_pydatetime(), entity_ids=entity_ids)
            )
    asked = pd.concat(scored, ignore_index=True)
    assert asked[NOT_ASKED].isna().all(axis=None)
    expected = sample.sort_values(["moment", "entity_id"], ignore_index=True)
    asked = asked.sort_values(["moment", "entity_id"], ignore_index=True)
    pd.testing.assert_frame_equal(asked.drop(columns=NOT_ASKED), expected.drop(columns=NOT_ASKED), check_exact=True)


@pytest.mark.parametrize("model", ["complexity", "rework", "trajectory"])
def test_an_entity_is_scored_alone_as_it_is_among_all(model, as_client, rows_of):
    with as_client(1) as connection:
        everyone = rows_of(connection, model, 1, scoring=True)
        usable = everyone[everyone["excluded"].isna()]
        chosen = usable["entity_id"].tolist()[::7]
        some = rows_of(connection, model, 1, scoring=True, entity_ids=chosen)
    assert len(chosen) > 3
    expected = usable[usable["entity_id"].isin(chosen)].reset_index(drop=True)
    pd.testing.assert_frame_equal(some, expected, check_exact=True)
