-- Everything of ours on the primary stands in it.
create schema if not exists {schema} authorization {owner}
