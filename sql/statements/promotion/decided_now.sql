-- The moment of the client's data that its newest run has seen, of those that may change what serves.
select
    (
        select as_of
        from ml.nightly_runs
        where
            client_id = %(client_id)s
            and binding
        order by started_at desc
        limit 1
    ) as as_of
