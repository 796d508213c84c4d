-- The run's row; a run that was begun before keeps its moment, and what its earlier try came to is of that try.
insert into ml.nightly_runs (run_id, client_id, dag_run_id, as_of, request, source_fingerprint, state, code_version)
values (
    %(run_id)s,
    %(client_id)s,
    %(dag_run_id)s,
    %(as_of)s,
    %(request)s,
    %(fingerprint)s,
    %(state)s,
    %(code_version)s
)
on conflict (run_id) do update
set
    request = excluded.request,
    source_fingerprint = excluded.source_fingerprint,
    state = excluded.state,
    code_version = excluded.code_version,
    phases = '{{}}',
    predictions_written = '{{}}',
    summary = null,
    failed_tasks = '{{}}',
    finished_at = null
returning run_id, as_of, state
