from __future__ import annotations

from typer.testing import CliRunner

from launcher import cli
from launcher.nightly import Night, parameters


def test_only_what_is_asked_for_is_said():
    assert parameters() == {}
    assert parameters(
        models="complexity, rework,complexity,", dry_run=True, force=True, as_of="2024-05-31T00:00:00"
    ) == {
        "models": ["complexity", "rework"],
        "dry_run": True,
        "force_retrain": True,
        "as_of": "2024-05-31T00:00:00",
    }


def test_a_reader_without_a_terminal_is_told_each_end_once():
    before = Night({"acme": "running"}, {"acme": {"prepare": "success", "train": "running"}})
    after = Night({"acme": "failed"}, {"acme": {"prepare": "success", "train": "failed", "gate": "upstream_failed"}})
    assert after.changes(before) == ["acme: train failed", "acme: failed"]
    assert after.changes(after) == []
    assert not before.ended and after.ended
    assert after.failed_tasks == ["acme.train"]


def test_the_table_shows_every_task_of_every_client():
    night = Night({"acme": "running", "beta": "queued"}, {"acme": {"prepare": "success", "train": "running"}})
    table = night.table()
    assert [column.header for column in table.columns] == ["client", "state", "prepare", "train"]
    assert table.row_count == 2


def test_a_day_that_no_calendar_has_is_refused_before_anything_is_asked():
    done = CliRunner().invoke(cli.app, ["trigger", "acme", "--as-of", "2026-02-30", "--instance", "nowhere"])
    assert done.exit_code != 0
    assert str(done.exception) == "as_of must be a moment like 2024-05-31T00:00:00, got '2026-02-30'"
