-- The member makes clients' roles members in its turn: PostgreSQL 16 asks for the admin option, 15 for CREATEROLE.
grant {name} to {member} with admin option
