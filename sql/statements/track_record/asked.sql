-- Where first predictions are put beside what came true.
create temporary table asked (
    position integer primary key,
    entity_id bigint not null,
    entity_key text,
    as_of timestamp not null
) on commit drop
