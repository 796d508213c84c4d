-- A restored dump of the extension brings rows and their owners after the triggers are there: the row has been recorded as the
-- restorer's by then, and what the dump says of its owner takes that place. Nobody else may insert a second owner.
create or replace function pgml.restore_owner() returns trigger
language plpgsql
as $$
begin
    if pg_has_role(current_user, (select c.relowner from pg_catalog.pg_class as c where c.oid = tg_relid), 'member') then
        if tg_table_name = 'project_owners' then
            delete from pgml.project_owners where project_id = new.project_id;
        else
            delete from pgml.snapshot_owners where snapshot_id = new.snapshot_id;
        end if;
    end if;
    return new;
end
$$;

create or replace trigger project_owners_restore before insert on pgml.project_owners
for each row execute function pgml.restore_owner();
create or replace trigger snapshot_owners_restore before insert on pgml.snapshot_owners
for each row execute function pgml.restore_owner();
