-- The extension that somebody has made available on this server: ours (./foresight install-pgml) or PostgresML's.
create extension pgml
