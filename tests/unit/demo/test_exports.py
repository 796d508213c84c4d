from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from demo import exports
from demo.book import Book
from demo.exports import MADE_UP_END, Client, ExportError

TODAY = datetime(2026, 3, 1)

JIRA = "key,project,issuetype,summary,status,status_category,created,resolutiondate"
CHANGES = "issue_key,from_status,to_status,changed_at"
POINTS = "issuekey,title,description,storypoint,split_mark"
PULLS = (
    "repo,number,author,author_association,title,title_len,body_len,created_at,first_review_at,merged_at,closed_at,state,"
    "merged,commit_count,n_commits_authored_before_open,additions,deletions,changed_files,review_comment_count,"
    "discussion_comment_count,reviewers,review_cycles,rework_commit_count"
)


def put(folder: Path, name: str, *lines: str) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    text = "\n".join(lines) + "\n"
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")


def read(folder: Path, say: Callable[[str], None] = lambda line: None) -> list[Client]:
    return exports.read(folder, today=TODAY, say=say)


def refusal(folder: Path) -> str:
    with pytest.raises(ExportError) as caught:
        read(folder)
    return str(caught.value)


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    book = Book(end=0)
    clients = read(folder)
    for client, name in zip(clients, exports.names(clients), strict=True):
        exports.write(book, client, name)
    return book.tables()


def test_story_points(tmp_path: Path):
    put(
        tmp_path,
        "story_points/apollo.csv.gz",
        POINTS,
        "A-1,First,Long,3,train",
        "A-2,Second,,5.5,val",
        "A-3,NA,x,8,test",
    )
    (client,) = read(tmp_path)
    assert (client.project, client.clock) == ("apollo", MADE_UP_END)
    issues = client.issues
    assert issues["story_points"].tolist() == [3, 6, 8]
    assert issues["summary"].tolist() == ["First", "Second", "NA"]
    assert issues["custom_field_01"].isna().tolist() == [False, True, False]
    assert issues["created"].is_monotonic_increasing
    assert issues["created"].nunique() == 3


def test_jira(tmp_path: Path):
    put(
        tmp_path,
        "jira_tidev/issues.csv",
        JIRA + ",epic_key,parent,first_sprint_start,n_comments,assignee,priority,story_points",
        "X-1,X,Epic,An epic,Closed,done,2020-01-01T00:00:00.000+0000,2020-02-01T02:00:00+02:00,,,,7,ann,High,",
        "X-2,X,Story,A child,Open,new,2020-01-05,,X-1,,2020-01-02T00:00:00Z,9,bob,Low,5.0",
        "X-3,X,Sub-task,A part,In Work,indeterminate,2020-01-06,,,X-2,,1,bob,,",
        "Y-1,Y,Bug,A bug,Done,done,2020-03-01,2020-03-02,,,2020-04-01,1,bob,,",
    )
    loaded = tables(tmp_path)
    assert loaded["clients"]["name"].tolist() == ["X", "Y"]
    issues = loaded["issues"].set_index("key")
    assert issues.loc["X-1", "total_lead_time_seconds"] == 31 * 86_400
    assert issues.loc["X-1", "work_last_completed_at"] == pd.Timestamp("2020-02-01")
    assert issues.loc["X-2", "parent_external_id"] == issues.loc["X-1", "external_id"]
    assert issues.loc["X-3", "parent_external_id"] == "X-2"
    assert issues.loc["X-2", "work_first_started_at"] == pd.Timestamp("2020-01-05"), "not before it was created"
    assert pd.isna(issues.loc["Y-1", "work_first_started_at"]), "a sprint after the end has not started it"
    steps = loaded["statuses"].merge(loaded["status_mappings"], left_on="status_mapping_id", right_on="id")
    assert dict(zip(steps["original_name"], steps["status_to"], strict=True)) == {
        "Closed": "Done",
        "Open": "Backlog",
        "In Work": "In Progress",
        "Done": "Done",
    }


def test_what_is_known_only_at_the_end_is_left_out(tmp_path: Path):
    put(
        tmp_path,
        "jira_tidev/issues.csv",
        JIRA + ",n_comments,assignee,priority,labels",
        "X-1,X,Bug,Some bug,Closed,done,2020-01-01,2020-02-01,7,ann,High,late",
    )
    assert not {"comment_count", "assignee", "assignee_id", "priority", "labels"} & set(tables(tmp_path)["issues"])


def test_apache_and_agile(tmp_path: Path):
    put(
        tmp_path,
        "apache_bugfix/issues.csv",
        "project,key,status,created,resolutiondate,summary_words",
        "LANG,LANG-1,Closed,2018-01-01,2018-01-03,parse date fail",
        ",,,,,",
        "LANG,LANG-2,Resolved,2018-01-02,2018-01-01,",
    )
    put(tmp_path, "agile_cycle/tasks.csv", "id,project,created_date,finished_date", "P0-1,0,2015-02-05,2015-02-04")
    loaded = tables(tmp_path)
    assert loaded["clients"]["name"].tolist() == ["LANG", "Project 0"]
    assert loaded["issues"]["total_lead_time_seconds"].tolist() == [2 * 86_400, -86_400, -86_400]
    assert loaded["issuetypes"]["original_name"].tolist() == ["Bug", "Task"]


def test_changelogs(tmp_path: Path):
    put(
        tmp_path,
        "jira_tidev/issues.csv",
        JIRA,
        "X-1,X,Bug,Some bug,Closed,done,2020-01-01,2020-01-10",
        "X-2,X,Bug,Other bug,Closed,done,2020-01-01,2020-01-10",
    )
    put(
        tmp_path,
        "changelogs/x.csv",
        CHANGES,
        "X-1,Testing,Closed,2020-01-11T12:00:00Z",
        "X-1,Open,Testing,2020-01-04T12:00:00Z",
    )
    loaded = tables(tmp_path)
    first, second = loaded["issues"].to_dict("records")
    assert first["work_first_started_at"] == pd.Timestamp("2020-01-04 12:00")
    assert first["total_work_time_seconds"] == 7 * 86_400
    assert first["work_last_completed_at"] == pd.Timestamp("2020-01-11 12:00")
    assert first["total_lead_time_seconds"] == 10.5 * 86_400
    assert second["total_lead_time_seconds"] == 9 * 86_400
    assert pd.isna(second["work_first_started_at"])
    changes = loaded["issue_changelogs"]
    assert changes["issue_id"].tolist() == [first["id"]] * 2
    assert changes["time_in_status_seconds"].tolist() == [3.5 * 86_400, 7 * 86_400]
    names = loaded["statuses"].set_index("id")["original_name"]
    assert changes["to_status_id"].map(names).tolist() == ["Testing", "Closed"]


def test_pull_requests(tmp_path: Path):
    put(
        tmp_path,
        "pull_requests/flask.csv.gz",
        PULLS,
        "pallets/flask,7,ann,MEMBER,Fix it,6,0,2024-01-02T10:00:00Z,2024-01-03,2024-01-04,2024-01-04,closed,1,"
        "5,2,10,3,2,4,1,2,3,3",
        "pallets/flask,9,bob,NONE,Draft,5,0,2024-01-05T10:00:00Z,,,,open,0,1,1,10,3,2,0,0,0,0,0",
        "pallets/flask,8,bob,NONE,Never mind,5,0,2024-01-05T10:00:00Z,,,2024-01-06,closed,0,1,,10,3,2,0,0,0,,0",
    )
    loaded = tables(tmp_path)
    pulls = loaded["pull_requests"].set_index("number")
    assert loaded["clients"]["name"].tolist() == ["pallets/flask"]
    assert pulls["status"].to_dict() == {7: "merged", 9: "open", 8: "closed"}
    assert pd.isna(pulls.loc[8, "review_cycles"])
    commits = loaded["pull_request_commits"]
    opened = commits["pull_request_id"].map(loaded["pull_requests"].set_index("id")["pr_created_at"])
    before = commits[commits["committed_date"] <= opened].groupby("pull_request_id").size()
    assert before.to_dict() == {pulls.loc[7, "id"]: 2, pulls.loc[9, "id"]: 1}
    assert (commits["pull_request_id"] == pulls.loc[7, "id"]).sum() == 5
    assert "comment_count" not in pulls


def test_a_project_in_two_parts_is_two_clients(tmp_path: Path):
    put(tmp_path, "story_points/mesos.csv", POINTS, "M-1,First,Long,3,train")
    put(tmp_path, "jira_tidev/issues.csv", JIRA, "M-1,MESOS,Bug,Some,Closed,done,2020-01-01,2020-01-02")
    assert exports.names(read(tmp_path)) == ["mesos (story_points)", "MESOS (jira_tidev)"]


def test_a_project_may_go_on_in_another_file(tmp_path: Path):
    put(tmp_path, "jira_tidev/a.csv", JIRA, "X-1,X,Bug,Some,Closed,done,2020-01-01,2020-01-02")
    put(tmp_path, "jira_tidev/b.csv", JIRA, "X-2,X,Bug,Some,Closed,done,2020-01-01,2020-01-02")
    (client,) = read(tmp_path)
    assert client.issues["key"].tolist() == ["X-1", "X-2"]
    put(tmp_path, "jira_tidev/c.csv", JIRA, "X-2,X,Bug,Some,Closed,done,2020-01-01,2020-01-02")
    assert "jira_tidev/: X: key 'X-2' is in two files" in refusal(tmp_path)


def test_the_clock_is_the_last_thing_known(tmp_path: Path):
    put(
        tmp_path,
        "jira_tidev/issues.csv",
        JIRA + ",updated",
        "X-1,X,Bug,Some bug,Closed,done,2020-01-01,2020-01-10,2020-03-05T06:07:08Z",
    )
    assert read(tmp_path)[0].clock == datetime(2020, 3, 5, 6, 7, 8)


def test_rows_without_a_record_are_left_out_aloud(tmp_path: Path):
    put(
        tmp_path,
        "apache_bugfix/issues.csv",
        "project,key,status,created,resolutiondate,summary_words,n_desc_words",
        "LANG,LANG-1,Closed,2018-01-01,2018-01-03,parse,7",
        ",,,,,,0",
        "",
    )
    said: list[str] = []
    (client,) = read(tmp_path, say=said.append)
    assert len(client.issues) == 1
    assert said == ["apache_bugfix/issues.csv: left out 1 rows without project and key: they hold no record"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("X-9,X,Bug,Some,Closed,done,2020-13-01,2020-02-01", "row 4, column created: '2020-13-01', must be a date"),
        ("X-9,X,Bug,Some,Closed,done,,2020-02-01", "row 4, column created: empty, must have a value"),
        ("X-9,X,Bug,Some,Closed,done,2099-01-01,", "row 4, column created: '2099-01-01', lies in the future"),
        ("X-9,X,Bug,Some,Closed,finished,2020-01-01,", "row 4, column status_category: 'finished', must be one of new"),
        ("X-9,,Bug,Some,Closed,done,2020-01-01,", "row 4, column project: empty, must have a value"),
        ("X-1,X,Bug,Some,Closed,done,2020-01-01,", "row 4, column key: 'X-1', appears twice"),
    ],
)
def test_a_malformed_cell_is_named(tmp_path: Path, row: str, words: str):
    # The first record spans lines 2 and 3.
    put(tmp_path, "jira_tidev/issues.csv", JIRA, 'X-1,X,Bug,"Two\nlines",Closed,done,2020-01-01,2020-02-01', row)
    message = refusal(tmp_path)
    assert f"jira_tidev/issues.csv: {words}" in message
    assert "1 problem:" in message


@pytest.mark.parametrize("value", ["many", "1e12", "inf", "nan"])
def test_points_must_be_numbers(tmp_path: Path, value: str):
    put(tmp_path, "story_points/a.csv", POINTS, "A-1,First,Long,3,train", f"A-2,Second,Long,{value},train")
    assert f"story_points/a.csv: row 3, column storypoint: '{value}', must be a number" in refusal(tmp_path)


def test_points_in_the_wrong_order(tmp_path: Path):
    put(tmp_path, "story_points/a.csv", POINTS, "A-1,First,Long,3,test", "A-2,Second,Long,3,train")
    assert "row 3, column split_mark: 'train', rows must be in order of creation" in refusal(tmp_path)


def test_a_column_is_missing(tmp_path: Path):
    put(tmp_path, "story_points/a.csv", "issuekey,title,description", "A-1,First,Long")
    assert "story_points/a.csv: row 1: no column storypoint; it has issuekey, title, description" in refusal(tmp_path)


def test_changes_of_an_unknown_issue(tmp_path: Path):
    put(tmp_path, "jira_tidev/issues.csv", JIRA, "X-1,X,Bug,Some,Closed,done,2020-01-01,2020-01-02")
    put(tmp_path, "changelogs/x.csv", CHANGES, "Z-1,Open,Closed,2020-01-02")
    assert "changelogs/x.csv: row 2, column issue_key: 'Z-1', is no issue of the other files" in refusal(tmp_path)


def test_merged_without_a_date(tmp_path: Path):
    put(tmp_path, "pull_requests/a.csv", PULLS, "r,1,a,NONE,t,1,1,2024-01-01,,,,closed,1,1,1,1,1,1,0,0,0,1,0")
    assert "row 2, column merged_at: empty, must have a value where merged is true" in refusal(tmp_path)


def test_all_problems_are_counted_and_the_first_shown(tmp_path: Path):
    put(tmp_path, "story_points/a.csv", POINTS, *(f"A-{n},Title,Long,x,train" for n in range(25)))
    put(tmp_path, "jira_tidev/issues.csv", JIRA, "X-1,X,Bug,Some,Closed,done,soon,")
    message = refusal(tmp_path)
    assert "26 problems" in message
    assert "and 16 more" in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a CSV file"),
        (b"issuekey,title,description,storypoint\nA-1,\xff,Long,3\n", "not UTF-8"),
        (b'issuekey,title,description,storypoint\nA-1,"open,Long,3\n', "not a CSV file"),
        (b"issuekey,title,description,storypoint\nA-1,a,Long,3\nA-2,a,b,c,d,e\n", "line 3"),
        (b"issuekey,title,description,storypoint\nA-1,a,Long,3,4\n", "more cells than the header has columns"),
    ],
)
def test_no_csv(tmp_path: Path, content: bytes, words: str):
    (tmp_path / "story_points").mkdir()
    (tmp_path / "story_points" / "a.csv").write_bytes(content)
    message = refusal(tmp_path)
    assert "story_points/a.csv: " in message
    assert words in message


def test_no_gzip(tmp_path: Path):
    (tmp_path / "story_points").mkdir()
    (tmp_path / "story_points" / "a.csv.gz").write_bytes(b"issuekey,title,description,storypoint\n")
    assert "story_points/a.csv.gz: not a CSV file" in refusal(tmp_path)


def test_an_empty_folder_names_what_it_could_have(tmp_path: Path):
    assert "story_points/, jira_tidev/" in refusal(tmp_path)


CASES = Path(__file__).parent / "exports"


def case(folder: Path, *names: str) -> Path:
    """A folder with some of the files that tools write."""
    for name in names:
        shutil.copy(CASES / name, folder)
    return folder


def test_all_that_tools_write_loads_from_one_folder(tmp_path: Path):
    """Three of the files have issues of the same keys, so they are exports of their own."""
    said: list[str] = []
    clients = read(case(tmp_path, *(path.name for path in CASES.iterdir())), say=said.append)
    assert sorted(exports.names(clients)) == [
        "SHOP (issues_semicolon.csv)",
        "SHOP (issues_utc.csv)",
        "SHOP (jira_export.csv)",
        "gh_pull_requests",
        "shop (pull_requests_pandas.csv)",
    ]
    assert "issues_utc.csv: a client of its own: SHOP of issues_semicolon.csv has key 'SHOP-1' too" in said


def test_jiras_own_export(tmp_path: Path):
    (client,) = read(case(tmp_path, "jira_export.csv"))
    assert (client.project, client.clock) == ("SHOP", datetime(2021, 4, 30, 9, 5))
    epic, story, bug, part = client.issues.to_dict("records")
    assert epic["custom_field_01"] == "Two lines\nof text" and epic["created"] == pd.Timestamp("2021-03-12 16:55")
    assert story["story_points"] == 3 and story["parent_external_id"] == "SHOP-1"
    assert bug["summary"] == 'Rückgabe: "quoted" and emoji 🧾' and bug["created"] == pd.Timestamp("2021-04-01 00:05")
    assert part["parent_external_id"] == "SHOP-2" and part["story_points"] == 1
    assert client.issues["category"].tolist() == ["done", "done", "indeterminate", "new"]
    assert client.issues["work_last_completed_at"].notna().tolist() == [True, True, False, False]


def test_several_projects_in_one_of_jiras_exports_that_lacks_the_category(tmp_path: Path):
    put(
        tmp_path,
        "all.csv",
        "Issue key,Summary,Issue Type,Status,Created,Resolved,Parent,Issue id,Custom field (Story point estimate)",
        "A-1,One,Story,Shipped,01/Jan/20 09:05,02/Jan/20 16:00,,1,3",
        "B-C-7,Two,Subtask,Open,01-Feb-2020 4:05 pm,,1,2,",
    )
    assert "row 3, column Created: '01-Feb-2020 4:05 pm', must be a date or time like 2024-05-31T16" in refusal(
        tmp_path
    )
    text = (tmp_path / "all.csv").read_text().replace("01-Feb-2020", "01/Feb/2020")
    (tmp_path / "all.csv").write_text(text)
    one, two = read(tmp_path)
    assert (one.project, two.project) == ("A", "B-C")
    assert one.issues["category"].tolist() + two.issues["category"].tolist() == ["done", "new"]
    assert one.issues["story_points"].tolist() == [3]
    assert two.issues["created"].tolist() == [pd.Timestamp("2020-02-01 16:05")]
    assert two.issues["parent_external_id"].tolist() == ["A-1"]


def test_what_gh_lists(tmp_path: Path):
    (client,) = read(case(tmp_path, "gh_pull_requests.json"))
    assert client.project == "gh_pull_requests"
    merged, draft, closed = client.pull_requests.to_dict("records")
    assert (merged["status"], draft["status"], closed["status"]) == ("merged", "open", "closed")
    assert (merged["user_name"], closed["user_name"]) == ("dev1", "app/dependabot") and pd.isna(draft["user_name"])
    assert merged["first_review_at"] == pd.Timestamp("2025-03-06 09:00") and pd.isna(draft["first_review_at"])
    counts = ["commit_count", "reviewers", "review_cycles", "rework_commit_count", "changed_files"]
    assert [merged[name] for name in counts] == [2, 1, 2, 1, 5]
    assert client.commits["number"].tolist() == [7, 7]
    assert client.commits["committed_date"].tolist() == [
        pd.Timestamp("2025-03-05 16:00"),
        pd.Timestamp("2025-03-06 11:00"),
    ]


def test_what_gh_was_not_asked_for_is_not_known(tmp_path: Path):
    """Several repositories in one file are told apart by the address; fields that are absent are no zeros."""
    some = {"title": "x", "state": "CLOSED", "createdAt": "2025-01-01T00:00:00Z", "mergedAt": None, "closedAt": None}
    address = "https://github.com/acme/{}/pull/1"
    records = [some | {"number": 1, "url": address.format(name)} for name in ("shop", "till")]
    (tmp_path / "pulls.json").write_text(json.dumps(records))
    clients = read(tmp_path)
    assert [client.project for client in clients] == ["acme/shop", "acme/till"]
    assert clients[0].pull_requests[["review_cycles", "commit_count", "additions"]].isna().all(axis=None)
    assert clients[0].commits.empty


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": None}, "pulls.json: row 1, column state: empty, must have a value"),
        ({"createdAt": 5}, "pulls.json: row 1, column createdAt: '5', must be a date"),
        ({"createdAt": ["x", "y"]}, "pulls.json: row 1, column createdAt: \"['x', 'y']\", must be a date"),
        ({"state": "DRAFT"}, "pulls.json: row 1, column state: 'DRAFT', must be one of open, closed, merged"),
        ({"reviews": [{"submittedAt": 7, "author": "x"}], "number": "n"}, "column number: 'n', must be a number"),
    ],
)
def test_malformed_json_is_named(tmp_path: Path, change: dict, words: str):
    some = {"title": "x", "state": "OPEN", "createdAt": "2025-01-01T00:00:00Z", "mergedAt": None, "closedAt": None}
    (tmp_path / "pulls.json").write_text(json.dumps([some | {"number": 1} | change]))
    assert words in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("nonsense", "x.json: not a JSON file that can be read"),
        ('{"message": "Bad credentials"}', "x.json: not a JSON file that can be read"),
        ('{"items": [{"number": 1}]}', "x.json: row 1: a header of no export that is known; it has items"),
        ("[1, 2]", "x.json: row 1: a header of no export that is known; it has 0"),
        ("[]", "the files have no rows"),
    ],
)
def test_no_list_of_pull_requests(tmp_path: Path, content: str, words: str):
    (tmp_path / "x.json").write_text(content)
    assert words in refusal(tmp_path)


def test_a_header_of_nothing_that_is_known_is_answered_with_what_is(tmp_path: Path):
    put(tmp_path, "prices.csv", "article,price", "a,1")
    message = refusal(tmp_path)
    assert "prices.csv: row 1: a header of no export that is known; it has article, price. Known are" in message
    assert "jira: Issue key, Summary" in message


def test_pandas_spells_booleans_and_numbers_its_own_way(tmp_path: Path):
    (client,) = read(case(tmp_path, "pull_requests_pandas.csv"))
    pulls = client.pull_requests
    assert pulls["status"].tolist() == ["merged", "closed"]
    assert pulls["additions"].tolist() == [10, 5]
    assert pulls["merged_at"].notna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("yes", "no"),
    [("1", "0"), ("1.0", "0.0"), ("True", "False"), ("TRUE", "FALSE"), ("t", "f"), ("yes", "No"), ("Y", "n")],
)
def test_merged_in_any_spelling(tmp_path: Path, yes: str, no: str):
    put(
        tmp_path,
        "pulls.csv",
        PULLS,
        f"r,1,a,NONE,t,1,1,2024-01-01,,2024-01-02,2024-01-02,closed,{yes},1,1,1,1,1,0,0,0,1,0",
        f"r,2,a,NONE,t,1,1,2024-01-01,,2024-01-02,2024-01-02,Closed,{no},1,1,1,1,1,0,0,0,1,0",
    )
    assert read(tmp_path)[0].pull_requests["status"].tolist() == ["merged", "closed"]


def test_a_word_that_is_no_boolean_is_answered_with_the_words_that_are(tmp_path: Path):
    put(tmp_path, "pulls.csv", PULLS, "r,1,a,NONE,t,1,1,2024-01-01,,,,closed,perhaps,1,1,1,1,1,0,0,0,1,0")
    message = refusal(tmp_path)
    assert "column merged: 'perhaps', must be one of true, t, yes, y, 1, 1.0, false, f, no, n, 0, 0.0" in message


def test_semicolons_a_byte_order_mark_and_decimal_commas(tmp_path: Path):
    (client,) = read(case(tmp_path, "issues_semicolon.csv"))
    assert client.issues["key"].tolist() == ["SHOP-1", "SHOP-2"]
    assert client.issues["story_points"].fillna(0).tolist() == [3, 0]
    assert client.issues["created"].tolist() == [pd.Timestamp("2024-05-31 14:48:47"), pd.Timestamp("2024-06-01 06:00")]


def test_tabs(tmp_path: Path):
    put(
        tmp_path, "a.tsv", "issuekey\ttitle\tdescription\tstorypoint", "A-1\tOne, two; three\t\t2.5", 'A-2\t"x\ty"\t\t1'
    )
    assert read(tmp_path)[0].issues["summary"].tolist() == ["One, two; three", "x\ty"]


@pytest.mark.parametrize(("points", "bad"), [(("2,5", "1.234"), "1.234"), (("1.234,5", "2,5"), "1.234,5")])
def test_a_full_stop_beside_decimal_commas_is_refused(tmp_path: Path, points: tuple[str, str], bad: str):
    """It may be a decimal sign or divide thousands."""
    put(tmp_path, "a.csv", "issuekey;title;description;storypoint", f"A-1;x;y;{points[0]}", f"A-2;x;y;{points[1]}")
    assert f"column storypoint: '{bad}', must be a number" in refusal(tmp_path)


def test_a_comma_is_no_decimal_sign_where_it_delimits(tmp_path: Path):
    """It may divide thousands."""
    put(tmp_path, "a.csv", POINTS, 'A-1,x,y,"1,234",train')
    assert "column storypoint: '1,234', must be a number like 3, 2.5" in refusal(tmp_path)


def test_what_a_mac_leaves_beside_a_file_is_no_file(tmp_path: Path):
    put(tmp_path, "story_points/a.csv", POINTS, "A-1,First,Long,3,train")
    (tmp_path / "story_points" / "._a.csv").write_bytes(b"\0\5\x16\7")
    (tmp_path / "._b.csv").write_bytes(b"\0\5\x16\7")
    assert [client.project for client in read(tmp_path)] == ["a"]


def issues_created(folder: Path, *created: str, resolved: str = "") -> None:
    rows = [f"X-{n},X,Bug,Some,Closed,done,{moment},{resolved}" for n, moment in enumerate(created)]
    put(folder, "issues.csv", JIRA, *rows)


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2015-03-05 17:31:23 UTC", "2015-03-05 17:31:23"),
        ("2015-03-05T17:31:23.120Z", "2015-03-05 17:31:23.120"),
        ("2015-03-05 17:31:23 +0200", "2015-03-05 15:31:23"),
        ("2015-03-05 17:31:23-08:00", "2015-03-06 01:31:23"),
        ("12/Mar/21 4:55 PM", "2021-03-12 16:55"),
        ("12/mar/2021 12:05 am", "2021-03-12 00:05"),
        ("12/Mar/21 4:55\u202fPM", "2021-03-12 16:55"),
        ("12/Mar/21 16:55:01", "2021-03-12 16:55:01"),
        ("6/21/2025 16:14", "2025-06-21 16:14"),
        ("21/6/25", "2025-06-21"),
        ("01.02.2024 08:30", "2024-02-01 08:30"),
    ],
)
def test_a_moment_as_tools_write_it(tmp_path: Path, written: str, moment: str):
    issues_created(tmp_path, written)
    assert read(tmp_path)[0].issues["created"].tolist() == [pd.Timestamp(moment)]


def test_day_and_month_have_one_order_in_a_file_and_it_is_said(tmp_path: Path):
    said: list[str] = []
    issues_created(tmp_path, "1/2/2024", "6/21/2025 16:14", resolved="7/8/2025")
    issues = read(tmp_path, say=said.append)[0].issues
    assert issues["created"].tolist() == [pd.Timestamp("2024-01-02"), pd.Timestamp("2025-06-21 16:14")]
    assert issues["work_last_completed_at"].tolist() == [pd.Timestamp("2025-07-08")] * 2
    assert said == [
        "issues.csv: the month comes first in dates like that of row 3, column created: '6/21/2025 16:14'",
    ]


def test_another_column_may_tell_the_order_of_day_and_month(tmp_path: Path):
    issues_created(tmp_path, "1/2/2024", resolved="13/2/2024")
    assert read(tmp_path)[0].issues["created"].tolist() == [pd.Timestamp("2024-02-01")]


def test_an_order_of_day_and_month_that_nothing_tells_is_refused(tmp_path: Path):
    issues_created(tmp_path, "1/2/2024", "3/4/2024")
    message = refusal(tmp_path)
    assert "1 problem:" in message
    assert "row 2, column created: '1/2/2024', day or month first? No date of the file tells" in message


def test_two_orders_of_day_and_month_are_refused(tmp_path: Path):
    issues_created(tmp_path, "13/2/2024", "3/4/2024", "2/13/2024")
    message = refusal(tmp_path)
    assert "1 problem:" in message
    assert (
        "row 2, column created: '13/2/2024', has the day first, but row 4, column created: '2/13/2024', the" in message
    )


@pytest.mark.parametrize("written", ["13/13/2024", "45/2/2024", "13/Foo/2024", "32/Jan/20", "5", "13/2/2024 25:00"])
def test_no_date_is_no_date(tmp_path: Path, written: str):
    issues_created(tmp_path, "14/2/2024", written)
    assert f"row 3, column created: '{written}', must be a date or time like" in refusal(tmp_path)


@pytest.mark.parametrize(("word", "category"), [("Done", "done"), ("To Do", "new"), ("IN PROGRESS", "indeterminate")])
def test_categories_by_name(tmp_path: Path, word: str, category: str):
    put(tmp_path, "x.csv", JIRA, f"X-1,X,Bug,Some,Closed,{word},2020-01-01,")
    assert read(tmp_path)[0].issues["category"].tolist() == [category]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(titles=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1, max_size=8))
def test_any_title_comes_through_and_lines_stay_right(tmp_path: Path, titles: list[str]):
    """Whatever the titles hold, they arrive (but for NUL), and a bad row is found where it is."""
    (tmp_path / "story_points").mkdir(exist_ok=True)
    path = tmp_path / "story_points" / "a.csv"
    titles = [title.replace("\r", " ").replace("\0", "") for title in titles]
    frame = pd.DataFrame({"issuekey": [f"A-{n}" for n in range(len(titles))], "title": titles, "description": "x"})
    frame.assign(storypoint=3).to_csv(path, index=False, lineterminator="\n")
    (client,) = read(tmp_path)
    assert client.issues["summary"].fillna("").tolist() == titles

    frame.assign(storypoint=["3"] * (len(titles) - 1) + ["bad"]).to_csv(path, index=False, lineterminator="\n")
    line = 1 + len(titles) + sum(title.count("\n") for title in titles[:-1])
    assert f"row {line}, column storypoint: 'bad'" in refusal(tmp_path)
