-- What this session's process has used so far; with `anew` its memory is watched from now on.
select
    pgml.cpu_seconds() as cpu_seconds,
    pgml.memory_peak(%(anew)s::boolean) as peak_bytes
