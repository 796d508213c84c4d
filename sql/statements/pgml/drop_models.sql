-- Models that were only there to be compared, and their snapshots. Their files go along.
select ml_pgml.drop_models(%(ids)s::bigint[]) as gone
