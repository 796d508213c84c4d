-- The platform's issues with what the models say of them; the platform's tables stay as they are.
create or replace view ml.issues_enriched with (security_invoker = true) as
select
    i.*,
    estimate.value as ml_estimated_story_points,
    estimate.grade as ml_estimation_confidence,
    estimate.rung as ml_estimation_rung,
    estimate.as_of as ml_estimated_as_of,
    trajectory.value as ml_predicted_lead_time_seconds,
    i.created + make_interval(secs => trajectory.value) as ml_predicted_completion_date,
    trajectory.grade as ml_prediction_confidence
from public.issues as i
left join ml.issue_predictions as estimate
    on estimate.client_id = i.client_id and estimate.issue_id = i.id and estimate.model = 'complexity'
left join ml.issue_predictions as trajectory
    on trajectory.client_id = i.client_id and trajectory.issue_id = i.id and trajectory.model = 'trajectory';
grant select on ml.issues_enriched to foresight_reader;
