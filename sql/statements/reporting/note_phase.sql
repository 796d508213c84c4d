-- What a phase came to.
update ml.nightly_runs
set phases = phases || jsonb_build_object(%(phase)s::text, %(result)s::jsonb)
where run_id = %(run_id)s
