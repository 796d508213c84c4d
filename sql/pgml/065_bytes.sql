-- Arrays of numbers go to Python and come back as the bytes that they are in memory: sending them value by value, or as text,
-- takes as long as a model does. The C function beneath hands its argument on as it is: PostgreSQL's own cast of xml to text.
create or replace function pgml._bytes(numbers real [])
returns bytea
language internal
immutable strict parallel safe
as 'xmltotext';

create or replace function pgml._bytes(numbers double precision [])
returns bytea
language internal
immutable strict parallel safe
as 'xmltotext';

-- Bytes that are no array would be read as one: 150_roles.sql leaves this to its owner alone.
create or replace function pgml._unchecked_reals(sent bytea)
returns real []
language internal
immutable strict parallel safe
as 'xmltotext';

-- The head of an array of so many numbers must be the head that such an array has; all else are numbers, whatever the bytes.
create or replace function pgml._reals(sent bytea)
returns real []
language plpgsql
immutable strict parallel safe
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    head constant integer := 20;
    numbers constant integer := (length(sent) - head) / 4;
begin
    if length(sent) = 0 then
        return '{}';
    end if;
    if
        numbers < 1
        or length(sent) <> head + 4 * numbers
        or substring(sent for head) <> substring(pgml._bytes(array_fill(0::real, array[numbers])) for head)
    then
        raise exception 'pgml: these are not the bytes of an array of numbers' using errcode = 'invalid_binary_representation';
    end if;
    return pgml._unchecked_reals(sent);
end
$$;
