from __future__ import annotations

from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

import demo
from demo import etl
from demo.generator import generate

END = datetime(2026, 3, 10, 9)


def rows(dsn: str, query: str) -> list[tuple]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query).fetchall()


def test_generated_data_arrives_whole(platform_dsn: str):
    clients = demo.load_generated(platform_dsn, seed=0, end=END)
    generated = generate(seed=0, end=END).tables
    with psycopg.connect(platform_dsn) as connection:
        for table, frame in generated.items():
            query = sql.SQL("select count(*) from {}").format(sql.Identifier(table))
            assert connection.execute(query).fetchone() == (len(frame),), table
    for client in clients:
        assert client.last_timestamp == END
        for table, count in client.rows.items():
            assert count == (generated[table]["client_id"] == client.id).sum()
    summaries = dict(rows(platform_dsn, "select id, summary from issues"))
    wanted = generated["issues"].set_index("id")["summary"].dropna().to_dict()
    assert {issue: text for issue, text in summaries.items() if text is not None} == wanted


def test_ids_go_on_after_the_copy(platform_dsn: str):
    demo.load_generated(platform_dsn, seed=0, end=END)
    ((last,),) = rows(platform_dsn, "select max(id) from issues")
    with psycopg.connect(platform_dsn) as connection:
        assert connection.execute("insert into issues (client_id) values (1) returning id").fetchone() == (last + 1,)


def test_a_platform_with_clients_is_left_alone(platform_dsn: str):
    demo.load_generated(platform_dsn, seed=0, end=END)
    before = rows(platform_dsn, "select count(*) from issues")
    with pytest.raises(demo.PlatformNotEmpty, match="already has 3 clients"):
        demo.load_generated(platform_dsn, seed=1, end=END)
    assert rows(platform_dsn, "select count(*) from issues") == before


def test_exports_arrive(platform_dsn: str, tmp_path: Path):
    (tmp_path / "story_points").mkdir()
    (tmp_path / "story_points" / "a'b.csv").write_text(
        'issuekey,title,description,storypoint\nA-1,"Tab\tand ""quotes"" and \\N",\\N,3\nA-2,Ещё одна,,5\n',
        encoding="utf-8",
    )
    (client,) = demo.load_exports(platform_dsn, demo.read_exports(tmp_path))
    assert (client.name, client.rows["issues"]) == ("a'b", 2)
    assert rows(platform_dsn, "select key, summary, custom_field_01, story_points from issues order by id") == [
        ("A-1", 'Tab\tand "quotes" and \\N', "\\N", 3),
        ("A-2", "Ещё одна", None, 5),
    ]
    assert rows(platform_dsn, "select max(created) from issues") == [(client.last_timestamp,)]


def test_exports_as_tools_write_them_arrive(platform_dsn: str):
    cases = Path(__file__).parents[2] / "unit" / "demo" / "exports"
    clients = demo.load_exports(platform_dsn, demo.read_exports(cases))
    assert len(clients) == 5
    assert rows(platform_dsn, "select status, count(*) from pull_requests group by status order by status") == [
        ("closed", 2),
        ("merged", 2),
        ("open", 1),
    ]
    parts = "select key, story_points from issues where parent_external_id is not null order by key"
    assert rows(platform_dsn, parts) == [("SHOP-2", 3), ("SHOP-3", None), ("SHOP-4", 1)]


CONTENT = """
select
    (select count(*) from issues),
    (select count(*) from issue_changelogs),
    (select count(*) from pull_requests),
    (select count(*) from pull_request_commits)
"""


def test_a_day_is_lived_once(platform_dsn: str):
    demo.load_generated(platform_dsn, seed=0, end=END)
    before = rows(platform_dsn, CONTENT)[0]
    assert etl.run(platform_dsn, lasting=0, transactions=60) == 60
    after = rows(platform_dsn, CONTENT)[0]
    assert all(new > old for new, old in zip(after, before, strict=True))
    assert etl.run(platform_dsn, lasting=0, transactions=60) == 0
    assert rows(platform_dsn, CONTENT)[0] == after


def test_a_day_labels_nothing(platform_dsn: str):
    """What has an outcome keeps it, and nothing new gets one."""
    demo.load_generated(platform_dsn, seed=0, end=END)
    outcomes = """
        select 'issue', id, story_points, total_lead_time_seconds::text from issues
        where story_points is not null or total_lead_time_seconds is not null
        union all
        select 'pull request', id, review_cycles, merged_at::text from pull_requests where merged_at is not null
        order by 1, 2
    """
    before = rows(platform_dsn, outcomes)
    assert etl.run(platform_dsn, lasting=0, transactions=60) == 60
    assert rows(platform_dsn, outcomes) == before


def test_a_day_that_was_broken_off_goes_on(platform_dsn: str):
    demo.load_generated(platform_dsn, seed=0, end=END)
    with psycopg.connect(platform_dsn) as connection:
        connection.execute(
            "create function stop() returns trigger language plpgsql as "
            "$$ begin if new.external_id = 'day-30' then raise exception 'stop'; end if; return new; end $$"
        )
        for table in ("issues", "issue_changelogs", "pull_requests"):
            query = sql.SQL("create trigger stop before insert on {} for each row execute function stop()")
            connection.execute(query.format(sql.Identifier(table)))
    with pytest.raises(psycopg.errors.RaiseException):
        etl.run(platform_dsn, seed=7, lasting=0, transactions=60)
    with psycopg.connect(platform_dsn) as connection:
        connection.execute("drop function stop cascade")
    assert etl.run(platform_dsn, seed=7, lasting=0, transactions=60) == 60
    doubled = """
        select client_id, external_id from (
            select client_id, external_id from issues
            union all
            select client_id, external_id from pull_requests
            union all
            select client_id, external_id from issue_changelogs
        ) as everything
        where external_id like 'day-%'
        group by 1, 2
        having count(*) > 1
    """
    assert rows(platform_dsn, doubled) == []


def test_two_writers_live_one_day(platform_dsn: str):
    demo.load_generated(platform_dsn, seed=0, end=END)
    with psycopg.connect(platform_dsn, autocommit=True) as first:
        first.execute("select pg_advisory_lock(hashtext('demo_day'))")
        assert etl.run(platform_dsn, lasting=0, transactions=60) == 0
    assert etl.run(platform_dsn, lasting=0, transactions=60) == 60
