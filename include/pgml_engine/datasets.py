"""The data sets that come with scikit-learn, as PostgresML's tables. Runs as who installed pgml: nothing in it is the
caller's but a name of the list and a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import libraries
from .errors import NotSupported, PgmlError
from .session import entry_point

if TYPE_CHECKING:
    from .session import Session

WINE = (
    *("alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids"),
    *("nonflavanoid_phenols", "proanthocyanins", "hue", "color_intensity", "od280/od315_of_diluted_wines", "proline"),
)
# In PostgresML's order of columns; scikit-learn has color_intensity before hue.
WINE_ORDER = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 9, 11, 12)

# Per data set the columns of the label with their type; features are real.
TARGETS = {
    "breast_cancer": {"malignant": "boolean"},
    "diabetes": {"target": "real"},
    "digits": {"target": "smallint"},
    "iris": {"target": "integer"},
    "linnerud": {"weight": "real", "waist": "real", "pulse": "real"},
    "wine": {"target": "integer"},
}
SENT_AS = {"real": "float4", "integer": "int4", "boolean": "bool", "smallint": "int2"}


@entry_point
def load_dataset(session: Session, source: str | None, subset: str | None, limit: int | None) -> list[dict[str, Any]]:
    """Make or fill pgml.<source>; the result row has its name and how many rows it has."""
    if source not in TARGETS:
        raise NotSupported(
            f'data set "{source}" is not one of those that come along: {", ".join(TARGETS)}; '
            "nothing is loaded from a network"
        )
    if subset is not None:
        raise PgmlError(f'data set "{source}" has no subset "{subset}": leave subset out')
    if limit is not None and limit < 0:
        raise PgmlError(f"limit must not be negative, got {limit}")
    columns, rows = _table(source)
    rows = rows[: len(rows) if limit is None else limit]
    quoted = {session.plpy.quote_ident(name): kind for name, kind in columns.items()}
    table = f"pgml.{source}"
    listed = ", ".join(f"{name} {kind}" for name, kind in quoted.items())
    session.plpy.execute(f"create table if not exists {table} ({listed})")
    session.plpy.execute(f"grant select on {table} to public")
    # Filled anew and not dropped: another's view may stand on it.
    session.plpy.execute(f"delete from {table}")
    # An array of arrays travels as its text.
    types = [f"{SENT_AS.get(kind, 'text')}[]" for kind in quoted.values()]
    sent = ", ".join(f"${place + 1}" for place in range(len(quoted)))
    values = ", ".join(f"r.v{place}::{kind}" for place, kind in enumerate(quoted.values()))
    names = ", ".join(f"v{place}" for place in range(len(quoted)))
    plan = session.plpy.prepare(
        f"insert into {table} ({', '.join(quoted)}) select {values} from unnest({sent}) as r ({names})", types
    )
    if rows:
        session.plpy.execute(plan, [list(column) for column in zip(*rows, strict=True)])
    return [{"table_name": table, "rows": len(rows)}]


def _table(source: str) -> tuple[dict[str, str], list[list[Any]]]:
    """Columns with their types, and the rows."""
    libraries.one_thread()
    from sklearn import datasets

    data = getattr(datasets, f"load_{source}")()
    target = TARGETS[source]
    if source == "digits":
        images = data.images.astype(int).tolist()
        columns = {"image": "smallint[]", **target}
        return columns, [
            ["{" + ",".join("{" + ",".join(map(str, line)) + "}" for line in image) + "}", int(label)]
            for image, label in zip(images, data.target, strict=True)
        ]
    if source == "linnerud":
        names = ["chins", "situps", "jumps"]
        labels = data.target
    elif source == "wine":
        names = list(WINE)
        data.data = data.data[:, WINE_ORDER]
        labels = data.target[:, np.newaxis]
    else:
        names = [str(name).replace(" (cm)", "") for name in data.feature_names]
        if source == "iris":
            names = [name.replace(" ", "_") for name in names]
        labels = (data.target == 0 if source == "breast_cancer" else data.target)[:, np.newaxis]
    features = data.data.astype(np.float32).tolist()
    columns = {**dict.fromkeys(names, "real"), **target}
    return columns, [[*row, *label] for row, label in zip(features, labels.tolist(), strict=True)]
