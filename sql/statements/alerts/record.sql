-- One row per client and cause. Whoever finds it there is not the first; whoever comes while the first is still sending
-- waits for the end of that transaction.
insert into ml.alerts (client_id, cause, subject)
values ((select client_id from ml.clients where slug = %(slug)s), %(cause)s, %(subject)s)
on conflict do nothing
returning alert_id
