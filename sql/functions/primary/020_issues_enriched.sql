-- The platform's issues with what the models say of them; the platform's tables stay as they are. A trajectory is the
-- seconds that remain from its as_of on. Bounds and the infinite are taken care of: one absurd row must not end a reading
-- of all.
create or replace view ml.issues_enriched with (security_invoker = true) as
select
    i.*,
    estimate.value as ml_estimated_story_points,
    estimate.grade as ml_estimation_confidence,
    estimate.rung as ml_estimation_rung,
    estimate.as_of as ml_estimated_as_of,
    case
        when isfinite(i.created) then extract(epoch from trajectory.as_of - i.created)::float8 + trajectory.value
    end as ml_predicted_lead_time_seconds,
    -- A century is as far as a date makes sense.
    trajectory.as_of + make_interval(secs => least(trajectory.value, 3155760000)) as ml_predicted_completion_date,
    trajectory.grade as ml_prediction_confidence
from public.issues as i
left join ml.issue_predictions as estimate
    on estimate.client_id = i.client_id and estimate.issue_id = i.id and estimate.model = 'complexity'
left join ml.issue_predictions as trajectory
    on trajectory.client_id = i.client_id and trajectory.issue_id = i.id and trajectory.model = 'trajectory';
grant select on ml.issues_enriched to foresight_reader;
