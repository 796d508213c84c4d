-- What the models say of the platform's issues, beside the columns that tell which issue it is; the others are a join on id
-- away. A prediction is of the issue that has both its id and its key: ids are given anew when the platform loads its rows
-- again. Not `i.*`: while a view names a column, the platform cannot drop or retype it (docs/decisions/0008). A trajectory is
-- the seconds that remain from its as_of on. One absurd row must not end a reading of all, so dates are bounded.
create or replace view ml.issues_enriched with (security_invoker = true) as
select
    i.id,
    i.client_id,
    i.key,
    i.created,
    estimate.value as ml_estimated_story_points,
    estimate.grade as ml_estimation_confidence,
    estimate.rung as ml_estimation_rung,
    estimate.as_of as ml_estimated_as_of,
    case
        when isfinite(i.created) then extract(epoch from trajectory.as_of - i.created)::float8 + trajectory.value
    end as ml_predicted_lead_time_seconds,
    -- A century is as far as a date makes sense.
    trajectory.as_of + make_interval(secs => least(trajectory.value, 3155760000)) as ml_predicted_completion_date,
    trajectory.grade as ml_prediction_confidence,
    estimate.low_80 as ml_estimated_story_points_low_80,
    estimate.high_80 as ml_estimated_story_points_high_80,
    trajectory.as_of + make_interval(secs => least(trajectory.low_80, 3155760000)) as ml_predicted_completion_low_80,
    trajectory.as_of + make_interval(secs => least(trajectory.high_80, 3155760000)) as ml_predicted_completion_high_80,
    trajectory.as_of + make_interval(secs => least(trajectory.p85, 3155760000)) as ml_predicted_completion_p85
from public.issues as i
left join ml.issue_predictions as estimate
    on
        estimate.client_id = i.client_id
        and estimate.issue_id = i.id
        and estimate.model = 'complexity'
        and (estimate.key is null or estimate.key = i.key)
left join ml.issue_predictions as trajectory
    on
        trajectory.client_id = i.client_id
        and trajectory.issue_id = i.id
        and trajectory.model = 'trajectory'
        and (trajectory.key is null or trajectory.key = i.key);
grant select on ml.issues_enriched to foresight_reader;
