-- A policy of the platform's on a table then stops the first copy with an error instead of hiding rows from it.
alter role {role} set row_security = off
