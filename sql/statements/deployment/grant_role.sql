-- Membership, not grants on tables: those would alter what the platform owns.
grant {name} to {member}
