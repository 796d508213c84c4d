create subscription {subscription} connection {conninfo} publication {publication} with ({options})
