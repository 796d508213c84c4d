-- Remembers which state of a set of files is in the database.
insert into ml.applied (part, digest)
values (%(part)s, %(digest)s)
on conflict (part) do update set digest = excluded.digest, applied_at = clock_timestamp()
