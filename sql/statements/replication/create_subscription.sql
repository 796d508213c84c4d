-- Makes the slot on the primary as well, and begins the first copy.
create subscription {subscription} connection {conninfo} publication {publication} with ({options})
