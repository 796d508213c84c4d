-- Up to when this client's data go.
select ml.data_clock(%(client_id)s::integer) as moment
