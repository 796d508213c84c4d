-- Whether a later moment of this client has been run already: then this run promotes nothing.
select exists (
    select
    from ml.nightly_runs
    where
        client_id = %(client_id)s
        and run_id <> %(run_id)s
        and as_of > %(as_of)s
        and state = 'success'
) as historic
