-- How many different words of a text fall into each bucket; zeros for a text that is null or empty. Only the first
-- 4,000 characters are read. A loop, because a query in a function costs more to start than the words of a title to count.
create or replace function ml.hashed_terms(words text, buckets integer)
returns float8[]
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    counts float8[] := array_fill(0.0::float8, array[buckets]);
    term text;
    bucket integer;
begin
    if words is null then
        return counts;
    end if;
    foreach term in array tsvector_to_array(to_tsvector('pg_catalog.simple'::regconfig, left(words, 4000)))
    loop
        bucket := get_byte(sha256(convert_to(term, 'UTF8')), 0) % buckets + 1;
        counts[bucket] := counts[bucket] + 1;
    end loop;
    return counts;
end
$$;
revoke execute on function ml.hashed_terms(text, integer) from public;
grant execute on function ml.hashed_terms(text, integer) to foresight_clients;
