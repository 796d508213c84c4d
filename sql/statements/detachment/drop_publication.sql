-- The tables that were published stay as they are.
drop publication if exists {publication}
