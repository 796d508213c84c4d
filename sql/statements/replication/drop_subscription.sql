-- Without its slot: that is gone or useless, and is dropped on the primary.
alter subscription {subscription} disable;
alter subscription {subscription} set (slot_name = none);
drop subscription {subscription};
