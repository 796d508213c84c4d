-- Rows of checks that are no more.
delete from quarantine
where check_name <> all(%(check_names)s)
