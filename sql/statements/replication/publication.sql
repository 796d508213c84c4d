-- One row where the publication exists.
select from pg_publication where pubname = %(publication)s
