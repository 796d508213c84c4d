-- A role that another database of this server still uses stays.
drop role {role}
