-- A subscription that somebody, or a failed apply, has disabled.
alter subscription {subscription} enable
