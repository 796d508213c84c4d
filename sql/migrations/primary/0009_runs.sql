-- Which runs may change what serves, and which moments a run may have.

-- A dry run looks only, and so does a run that was given its moment, except in a replay on servers of its own.
alter table ml.nightly_runs
add column binding boolean not null generated always as (
    not coalesce((request ->> 'dry_run')::boolean, false)
    and (request ->> 'as_of' is null or request ->> 'trigger' is not distinct from 'replay')
) stored;

-- No run is of a moment that its server had not reached. The library refuses to the second; the day is for clocks that
-- differ, and for rows that were dated otherwise afterwards. What an earlier version let through gets the moment at which
-- it began: the moment that was asked for stays in `request`.
alter table ml.nightly_runs no force row level security;
update ml.nightly_runs
set as_of = started_at at time zone 'UTC'
where as_of > (started_at at time zone 'UTC') + interval '1 day';
alter table ml.nightly_runs force row level security;
alter table ml.nightly_runs
add constraint nightly_runs_as_of_is_reached check (as_of <= (started_at at time zone 'UTC') + interval '1 day');

-- How long a check has failed: in how many runs in a row, and since which day of the data. `news`: the run before has come
-- to something else.
alter table ml.validation_results
add column runs integer not null default 1,
add column since date,
add column news boolean not null default true;

-- The newest check of a model is read for every page and scrape, the last result of a data check in every run.
create index on ml.model_health (client_id, model, checked_at desc);
create index on ml.validation_results (client_id, check_name, created_at desc);
