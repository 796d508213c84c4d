-- The median of the first one, two, three ... values, or of the last `width` of those: `result[k]` is that of values up
-- to the k-th. The middle is followed through the sorted values, so thousands take milliseconds where sorting anew for
-- each would take seconds.
create or replace function ml.running_medians(series float8[], width integer)
returns float8[]
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    total constant integer := coalesce(cardinality(series), 0);
    sorted float8[];
    places integer[];
    counts integer[];
    medians float8[];
    inside integer := 0;
    -- The place of the lower middle, and how many values lie below it.
    middle integer := 1;
    below integer := 0;
    rank integer;
    upper integer;
    place integer;
begin
    if total = 0 then
        return '{}';
    end if;
    select array_agg(value order by value) into sorted
    from (select distinct value from unnest(series) as one (value)) as different;
    select array_agg(width_bucket(value, sorted) order by nth) into places
    from unnest(series) with ordinality as one (value, nth);
    counts := array_fill(0, array[cardinality(sorted)]);
    medians := array_fill(0::float8, array[total]);
    for k in 1..total loop
        place := places[k];
        counts[place] := counts[place] + 1;
        inside := inside + 1;
        if place < middle then
            below := below + 1;
        end if;
        if k > width then
            place := places[k - width];
            counts[place] := counts[place] - 1;
            inside := inside - 1;
            if place < middle then
                below := below - 1;
            end if;
        end if;
        rank := (inside + 1) / 2;
        while below >= rank loop
            middle := middle - 1;
            below := below - counts[middle];
        end loop;
        while below + counts[middle] < rank loop
            below := below + counts[middle];
            middle := middle + 1;
        end loop;
        upper := middle;
        if inside % 2 = 0 and below + counts[middle] = rank then
            upper := middle + 1;
            while counts[upper] = 0 loop
                upper := upper + 1;
            end loop;
        end if;
        medians[k] := (sorted[middle] + sorted[upper]) / 2;
    end loop;
    return medians;
end
$$;
revoke execute on function ml.running_medians(float8[], integer) from public;
grant execute on function ml.running_medians(float8[], integer) to foresight_clients;
