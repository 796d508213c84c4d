-- COPY is refused on tables with row-level security, so the rows arrive in a temporary one.
create temporary table incoming (
    entity_id bigint,
    key text,
    value float8,
    from_prior boolean,
    ranges text,
    features text
) on commit drop
