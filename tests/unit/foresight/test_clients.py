from __future__ import annotations

from include.foresight import clients


def test_a_client_that_is_not_there_is_answered_with_those_that_are():
    known = ["northwind_labs", "obrien", "tiny_tern"]
    assert clients.no_such("northwind", known) == (
        "the registry (ml.clients) has no client 'northwind': there are northwind_labs, obrien, tiny_tern"
    )
    assert clients.no_such("acme", []).endswith("there are none")


def test_of_many_clients_those_that_are_spelled_alike_are_named():
    known = [f"client_{number}" for number in range(500)] + ["northwind_labs"]
    assert clients.no_such("northwind", known).endswith("there are northwind_labs and 500 more")
    assert clients.no_such("???", known).endswith("client_9 and 491 more")
