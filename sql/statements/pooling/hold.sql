-- Keeps a process of the server for itself, though not for long: others may wait for it.
begin;
set local idle_in_transaction_session_timeout to '2s';
select pg_backend_pid();
