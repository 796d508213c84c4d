-- Whether this engine can tell what a session has used. (Its version would tell too, but brings libraries into the session,
-- and what that costs has to be counted.)
select to_regprocedure('pgml.memory_peak(boolean)') is not null as there
