-- As on the primary, whose rows are replicated whole.
alter table ml.clients
add column scheduled_since timestamptz;
