-- Results of the run from a try before this one.
delete from ml.validation_results
where run_id = %(run_id)s
