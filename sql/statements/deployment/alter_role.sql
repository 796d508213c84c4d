-- What a role that is there already lacks.
alter role {role} {attributes}
