"""What can go wrong, a class per failure that a caller can act on. Messages name the thing, the rule and the value."""

from __future__ import annotations


class ForesightError(Exception):
    """Something that Foresight refuses or could not do."""


class ConfigurationError(ForesightError):
    """A client's row, a model's spec or a setting of the environment is wrong: trying again changes nothing."""


class UnknownClient(ConfigurationError):
    """The registry has no such client, or it is not active or not provisioned."""


class UnknownModel(ConfigurationError):
    """No model of that name is specified."""


class ReplicaBehind(ForesightError):
    """The replica does not show yet what the primary has: waiting helps."""


class DatabaseBusy(ForesightError):
    """Every session that this process may have is in use: waiting helps."""


class ClientBusy(ForesightError):
    """Another run works on the client: waiting helps."""


class RunNotPrepared(ForesightError):
    """A phase was asked for although the run's `prepare` has not ended well."""


class ForeignRows(ForesightError):
    """A training table holds rows of another client. Nothing is trained on it; a person has to look."""


class DataBlocked(ForesightError):
    """Checks with severity `block` have stopped every model of the client."""


class ModelsFailed(ForesightError):
    """Some models of the client failed; the others are through."""


class FitTimedOut(ForesightError):
    """A training took longer than its limit and was ended on the server."""


class FitCancelled(ForesightError):
    """A training was cancelled on the server before its limit."""


class GaveWay(ForesightError):
    """The copies could not be read because replication or set-up kept needing them for themselves: waiting helps."""


class ReplayRefused(ForesightError):
    """A replay on an installation that is not thrown away afterwards."""
