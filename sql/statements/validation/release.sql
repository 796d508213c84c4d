-- What this check had set aside before.
delete from quarantine
where check_name = %(check_name)s
