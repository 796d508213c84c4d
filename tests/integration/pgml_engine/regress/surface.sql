-- The functions, tables and views that a client of ours may rely on.
select p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' as function, pg_get_function_result(p.oid) as result
from pg_proc as p
where p.pronamespace = 'pgml'::regnamespace and p.proname !~ '^_' and p.prorettype <> 'trigger'::regtype
order by 1;
select table_name, string_agg(column_name || ' ' || udt_name, ', ' order by ordinal_position) as columns
from information_schema.columns
where table_schema = 'pgml'
group by table_name
order by table_name;
select t.typname, string_agg(e.enumlabel, ' ' order by e.enumsortorder) as words
from pg_type as t inner join pg_enum as e on t.oid = e.enumtypid
where t.typnamespace = 'pgml'::regnamespace
group by t.typname
order by t.typname;
