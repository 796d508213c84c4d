"""The row filter of pgml.train: what it lets through, that it means what PostgreSQL means, and what it refuses."""

from __future__ import annotations

import random
import re

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

import demo
from tests.integration.pgml_engine.conftest import CHECKOUT

WHERE = """
create or replace function public.written(relation_name text, filter text) returns text language plpython3u as $$
from pgml_engine import filter as filters, relation
from pgml_engine.session import Session, entry_point

def written(session, relation_name, text):
    return filters.where(session, relation.resolve(session, relation_name), text)

return entry_point(written)(Session.of(plpy, GD), relation_name, filter)
$$
"""


@pytest.fixture(scope="module")
def platform(engine_db) -> psycopg.Connection:
    """The platform's tables with generated data, and pgml, in a database of their own."""
    with psycopg.connect(engine_db, autocommit=True) as admin:
        admin.execute("create database filtered")
    place = make_conninfo(engine_db, dbname="filtered")
    demo.create_platform(place)
    demo.load_generated(place, seed=3)
    with psycopg.connect(place, autocommit=True) as connection:
        for path in sorted((CHECKOUT / "sql" / "pgml").glob("*.sql")):
            connection.execute(path.read_bytes())
        connection.execute(WHERE)
        connection.execute(
            "create table public.odd (a int, b int, c numeric, t text, flag boolean, moment timestamp, "
            '"Mixed "" Name" int)'
        )
        connection.execute(
            "insert into public.odd select (i * 7) % 11 - 5, nullif(i % 5, 0), (i % 13) / 4.0, "
            "case when i % 6 > 0 then chr(97 + i % 4) || '%' || (i % 3) end, nullif(i % 3, 0) = 1, "
            "timestamp '2024-01-31 23:00' + i * interval '17 hours', i % 9 from generate_series(1, 200) as i"
        )
        connection.execute("create table public.other as select i as a, i % 4 as k from generate_series(-3, 3) as i")
        yield connection


def written(connection, text, relation="odd"):
    return connection.execute("select public.written(%s, %s)", [relation, text]).fetchone()[0]


def chosen(connection, condition):
    """The rows of public.odd by their place."""
    query = "select ctid::text from public.odd as r where " + condition
    return {row[0] for row in connection.execute(query.encode())}


MEANING = [
    "a > 1 and b is not null or not flag",
    "not a = b",
    "a between -2 and 3 and t like 'a%' or t not ilike 'B\\%%'",
    "t like 'a!%%' escape '!' or t not like 'b%'",
    "-a - -b * 2 % 3 > (a + b) / 2 - 1 - 1",
    "c * 2 >= a::float8 / 3 and cast(c as numeric(4, 1)) <> 0.5",
    "a in (1, 2, -3) or a not in (select k from other where k > 1)",
    "a in (select o.a from other o join other p on o.k = p.a left join other as q on q.a = p.k where q.k is null)",
    "a in (select k from other where other.a = b)",
    "a in (select k from other where a in (select a from other where k = 2))",
    "length(t) > 2 and lower(upper(t)) = t and abs(a) < 4",
    "coalesce(b, a, 0) = 2 or b is distinct from a",
    "flag is not true and flag is not null or flag is unknown",
    "moment >= timestamp '2024-03-01' - interval '10 days' and extract(hour from moment) < 12",
    "date_trunc('month', moment) = date '2024-03-01' or moment::date = '2024-02-10'",
    "moment < now() - interval '1 year 2 months' and moment + interval '36' hour > '2024-04-01'",
    "current_date - 300 > moment::date and date_part('dow', moment) = 1",
    '"Mixed "" Name" = 4 or ODD.A = 3 and public.odd.b = 1',
    "t = 'it''s' or t <> 'back\\slash' /* and nothing */ -- or else\n and a > 0",
    "not (not (a > 1)) = flag",
    "(a + b > 1) = (c > 1)",
    "a = b is null and true or a is null = flag",
    "a isnull or b notnull",
    "t > 'b' and t <= 'c%2' and a != 2",
]


@pytest.mark.parametrize("text", MEANING)
def test_what_is_written_chooses_the_rows_that_the_text_chooses(platform, text):
    ours = written(platform, text)
    theirs = {row[0] for row in platform.execute(f"select ctid::text from public.odd where {text}".encode())}
    assert chosen(platform, ours) == theirs
    assert ours.startswith("(") and "--" not in ours


def random_condition(chance: random.Random, depth: int) -> str:
    """Conditions without a bracket more than PostgreSQL needs, so that what binds how is tried out."""

    def number(depth):
        kind = chance.randrange(8 if depth > 0 else 4)
        if kind < 4:
            return chance.choice(["a", "b", "c", "1", "2.5", "length(t)", "-a", "odd.a"])
        if kind < 7:
            return f"{number(depth - 1)} {chance.choice('+-*')} {number(depth - 1)}"
        return f"coalesce({number(depth - 1)}, {number(depth - 1)})"

    kind = chance.randrange(9 if depth > 0 else 5)
    if kind < 2:
        return f"{number(2)} {chance.choice(['=', '<', '>=', '<>', 'is distinct from'])} {number(2)}"
    if kind == 2:
        return f"{number(1)} {chance.choice(['', 'not '])}between {number(1)} and {number(1)}"
    if kind == 3:
        return f"{number(1)} is {chance.choice(['', 'not '])}null"
    if kind == 4:
        return f"{number(1)} {chance.choice(['', 'not '])}in ({number(1)}, {number(0)})"
    if kind == 5:
        return f"not {random_condition(chance, depth - 1)}"
    if kind == 6:
        return f"({random_condition(chance, depth - 1)})"
    return f"{random_condition(chance, depth - 1)} {chance.choice(['and', 'or'])} {random_condition(chance, depth - 1)}"


def agree(connection, seed, count):
    chance = random.Random(seed)
    taken = 0
    for _ in range(count):
        text = random_condition(chance, 3)
        theirs = {row[0] for row in connection.execute(f"select ctid::text from public.odd where {text}".encode())}
        assert chosen(connection, written(connection, text)) == theirs, text
        taken += 1
    return taken


def test_random_conditions_mean_what_postgresql_means(platform):
    assert agree(platform, 11, 150) == 150


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_many_random_conditions_mean_what_postgresql_means(platform, seed):
    assert agree(platform, seed, 1000) == 1000


REFUSED = [
    ("pg_sleep(10) is null", "function .pg_sleep"),
    ("a = 1; drop table odd", "2 statements"),
    ("select 1", "select"),
    ("a = (select max(a) from other)", "subquery"),
    ("exists (select a from other)", "exists"),
    ("case when flag then true end", "case"),
    ("count(*) > 1", "count"),
    ("sum(a) over () > 1", "window"),
    ("a = any(array[1, 2])", "any"),
    ("(a, b) in (select a, k from other)", "one column"),
    ("a in (select a from other union select k from other)", "union"),
    ("a in (with q as (select a from other) select a from q)", "with"),
    ("a in (select a from other limit 1)", "select"),
    ("a in (select a from other order by a)", "select"),
    ("a in (select distinct a from other)", "select"),
    ("a in (select a from other group by a)", "select"),
    ("a in (select a from other for update)", "select"),
    ("a in (select a into stolen from other)", "select"),
    ("a in (select max(a) from other)", "one column"),
    ("a in (select * from other)", "one column"),
    ("a in (select 1)", "one column"),
    ("a in (select a from generate_series(1, 3) as a)", "table"),
    ("a in (select q.a from (select a from other) q)", "table"),
    ("a in (select o.a from other o, other p)", "join"),
    ("a in (select o.a from other o natural join other p)", "join"),
    ("a in (select o.a from other o cross join other p)", "join"),
    ("a in (select o.a from other o full join other p on true)", "join"),
    ("a in (select o.a from other o join lateral (select 1) p on true)", "lateral|table"),
    ("a in (select a from only other)", "table"),
    ("a in (select a from other tablesample system (10))", "table"),
    ("a in (table other)", "select"),
    ("a in (values (1))", "values"),
    ("t ~ 'a'", "regexp like"),
    ("t similar to 'a'", "similar to"),
    ("t collate \"C\" < 'b'", "collate"),
    ("t::regclass is not null", "cast to"),
    ("t::bytea is not null", "cast to"),
    ("t::int[] is not null", "cast to"),
    ("t::public.odd is not null", "cast to"),
    ("a = $1", "parameter"),
    ("a = :client", "placeholder"),
    ("t = E'\\x41'", "string"),
    ("t = U&'\\0041'", "unicode string"),
    ("a = 0x1F", "hex"),
    ("a = 1_000", "alias"),
    ("a << 1 = 2", "shift"),
    ("t || 'x' = 'y'", "pipe"),
    ("flag is true is false", "brackets"),
    ("a < b < 3", "brackets"),
    ("extract(timezone from moment) = 1", "the part must be"),
    ("interval '1.5' hour > interval '1 hour'", "write interval"),
    ("moment at time zone 'UTC' > now()", "at time zone"),
    ("current_user = 'postgres'", "current user"),
    ("length(distinct t) > 1", "distinct"),
    ("row(a) = row(1)", "function|struct"),
    ("odd is not null", "column"),
    ("odd.* is null", "column|star"),
    ("ctid is not null", "column"),
    ("tableoid = 1", "column"),
]


@pytest.mark.parametrize(("text", "named"), REFUSED)
def test_everything_else_is_refused_and_named(platform, text, named):
    with pytest.raises(psycopg.Error, match=rf"(?is)pgml: filter.*({named})") as error:
        written(platform, text)
    assert error.value.sqlstate in ("0A000", "42601", "42703"), error.value


@pytest.mark.parametrize(
    ("text", "state", "named"),
    [
        ("", "42601", "empty"),
        ("-- nothing", "42601", "empty"),
        ("a = ", "42601", "cannot be read"),
        ("a = 'open", "42601", "cannot be read"),
        ("nope = 1", "42703", '"nope" in public.odd'),
        ("other.a = 1", "42703", '"other"."a"'),
        ("a in (select a from missing)", "42P01", '"public.missing"'),
        ("a in (select o.a from other o join other p on o.a = k)", "42702", '"k"'),
        ("a in (select o.a from other o join other o on true)", "42601", '"o"'),
        ("a in ()", "42601", "IN needs"),
        ("(" * 3000 + "a = 1" + ")" * 3000, "54000", "nested too deeply"),
        ("a = 1 or " * 2000 + "a = 1", "54000", "at most 10000"),
    ],
)
def test_errors_carry_a_state_that_says_what_is_wrong(platform, text, state, named):
    with pytest.raises(psycopg.Error, match=f"(?i){re.escape(named)}") as error:
        written(platform, text)
    assert error.value.sqlstate == state


def test_a_long_chain_is_no_deep_tree(platform):
    assert written(platform, " or ".join(["a = 1"] * 1000)).count("(r.a = 1)") == 1000


def test_every_column_of_the_platform_can_be_named(platform):
    columns = platform.execute(
        "select table_name, column_name from information_schema.columns where table_schema = 'public'"
    ).fetchall()
    reserved = {'Mixed " Name'}
    assert len(columns) > 150
    for table, column in columns:
        if column not in reserved:
            condition = written(platform, f"{column} is not null and {table}.{column} = {column}", table)
            assert re.search(rf'r\.("{column}"|{column}) is not null', condition)


def test_a_sub_select_reads_as_the_caller(platform):
    platform.execute("create role narrow in role pgml_user")
    platform.execute("grant select on public.odd to narrow")
    arguments = ["narrow", "regression", "odd", "a", "b is not null and t is not null and a in (select a from other)"]
    train = "select pgml.train(%s, %s, %s, %s, filter => %s)"
    platform.execute("set role narrow")
    try:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="other"):
            platform.execute(train, arguments)
        platform.execute("reset role")
        platform.execute("grant select on public.other to narrow")
        platform.execute("alter table public.other enable row level security")
        platform.execute("create policy part on public.other to narrow using (a > 0)")
        platform.execute("set role narrow")
        platform.execute(train, arguments)
        trained = "select analysis ->> 'samples' from pgml.snapshots order by id desc limit 1"
        expected = "select count(*) from odd where b is not null and t is not null and a in (1, 2, 3)"
        assert int(platform.execute(trained).fetchone()[0]) == platform.execute(expected).fetchone()[0] > 10
    finally:
        platform.execute("reset role")
        platform.execute("alter table public.other disable row level security")


def test_the_documents_own_trainings_run(platform):
    """As they stand in the document, on the platform's tables, for client 1."""
    script = (CHECKOUT / "docs" / "examples" / "document.sql").read_text()
    for statement in re.split(r";\n", script):
        if statement.strip():
            platform.execute(sql.SQL(statement))
    deployed = dict(platform.execute("select name, task::text from pgml.deployed_models").fetchall())
    assert deployed == deployed | {
        "project_trajectory_forecast_client_1_v1": "regression",
        "issue_complexity_estimator_client_1_v1": "regression",
        "pr_rework_classifier_client_1_v1": "classification",
    }
    samples = platform.execute(
        "select (s.analysis ->> 'samples')::int from pgml.models m join pgml.snapshots s on m.snapshot_id = s.id "
        "join pgml.projects p on m.project_id = p.id where p.name = 'pr_rework_classifier_client_1_v1'"
    ).fetchone()[0]
    expected = platform.execute(
        "select count(*) from pr_rework_training_data where client_id = 1 "
        "and merged_at >= now() - interval '12 months' and commit_count > 0 and changed_files > 0"
    ).fetchone()[0]
    assert samples == expected > 50
