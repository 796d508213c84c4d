-- Which pgml is here: PostgresML's extension, or functions without one, which are ours.
select
    exists (select from pg_extension where extname = 'pgml') as postgresml,
    to_regprocedure('pgml.version()') is not null as installed
