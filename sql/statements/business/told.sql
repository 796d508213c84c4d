-- First predictions, brought from the primary to where the outcomes can be read.
create temporary table told (
    entity_id bigint not null,
    entity_key text,
    as_of timestamp not null,
    value float8 not null,
    late float8 not null,
    simple float8
) on commit drop
