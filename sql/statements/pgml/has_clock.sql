-- Whether this engine can tell what a session has used. (Its version would tell too, but brings libraries into the session,
-- and what that costs has to be on the clock.)
select to_regprocedure('pgml.cpu_seconds()') is not null as there
