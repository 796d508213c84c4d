-- A fold that has done its work.
drop view if exists {view}
