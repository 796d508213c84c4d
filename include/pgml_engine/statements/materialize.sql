-- The table for a snapshot's rows: made by its installer, filled and read by the snapshot's owner alone.
select pgml._materialize($1, $2, $3)
