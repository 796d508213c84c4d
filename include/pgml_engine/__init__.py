"""`pgml` for PostgreSQL: what the thin PL/Python functions of sql/pgml call. Runs inside a database backend.

The SQL functions hand in their `plpy` and `GD`; nothing here imports them, so each module imports outside a server too.
"""

__version__ = "0.1.0"

# The PostgresML release whose SQL surface this one follows.
POSTGRESML_VERSION = "2.10.0"
