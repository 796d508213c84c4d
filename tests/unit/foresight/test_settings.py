"""What the environment says."""

from __future__ import annotations

import pytest

from include.foresight import settings


@pytest.mark.parametrize(
    ("stated", "roles"),
    [
        (None, {"admin"}),
        ("Admin, Ops team ,", {"admin", "ops team"}),
        ("", set()),
    ],
)
def test_roles_of_the_fleet(monkeypatch: pytest.MonkeyPatch, stated: str | None, roles: set[str]):
    """None at all is a choice too: then people see their clients and nobody the fleet."""
    monkeypatch.delenv("FORESIGHT_FLEET_ROLES", raising=False)
    if stated is not None:
        monkeypatch.setenv("FORESIGHT_FLEET_ROLES", stated)
    assert settings.fleet_roles() == roles
