-- What this session's process has used so far.
select pgml.cpu_seconds() as used
