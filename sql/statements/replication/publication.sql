select from pg_publication where pubname = %(publication)s
