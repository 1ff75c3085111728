"""Images of a run by an expression over its joined tables.

DuckDB evaluates it: the expressions are those of the SQL that people write over the tables anyway,
its parser takes exactly one of them and no statement, and a connection without access to anything
outside holds nothing but these tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import RequestError
from pipeline.tables import RunTables

if TYPE_CHECKING:
    import duckdb
    import pyarrow.dataset as ds

CLOSED = {
    "enable_external_access": "false",
    "python_enable_replacements": "false",
    "lock_configuration": "true",
}
# fixed, or nothing to ask for
NOT_SHOWN = ("round", "best", "seed", "parameters", "features", "ranking")
KEYS = ("id", "target")  # what tells explanations apart, as far as a table has it


@dataclass(frozen=True, slots=True)
class Hit:
    """An image that was asked for, and the value that it was sorted by."""

    id: str
    target: int
    value: Any


def select(
    run: RunTables,
    where: str | None = None,
    sort: str | None = None,
    *,
    reverse: bool = False,
    top: int | None = None,
) -> list[Hit]:
    """Images for which `where` is true, those with the largest `sort` first, by default by id.

    Both are expressions over the joined columns; RequestError names these where one is wrong.
    reverse  the smallest first; images without a value come last in any case
    """
    duckdb = _duckdb()
    joined = _joined(run, duckdb.connect(":memory:", config=CLOSED))
    direction = "ASC" if reverse else "DESC"
    order = "id, target" if sort is None else f"value {direction} NULLS LAST, id, target"
    try:
        found = joined if where is None else joined.filter(where)
        rows = found.project(f"id, target, {sort or 'NULL'} AS value").order(order)
        return [Hit(*row) for row in (rows if top is None else rows.limit(top)).fetchall()]
    except duckdb.Error as error:
        given = (("--where", where), ("--sort", sort))
        asked = " ".join(f"{flag} {text!r}" for flag, text in given if text is not None)
        reason = str(error).splitlines()[0].rstrip("!")
        raise RequestError(
            f"{asked}: {reason}; the columns are {', '.join(joined.columns)}"
        ) from error


def _joined(run: RunTables, connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyRelation:
    """`images`, the best explanation of round 0 and, where there is one, its row of `regions`."""
    tables: dict[str, ds.Dataset] = {"explanations": run.explanations}
    if (regions := run.derived("regions")) is not None:
        tables["regions"] = regions
    columns = list(run.images.schema.names)
    connection.register("images", run.images)
    shown, joins = ["images.*"], ["images"]
    for name, table in tables.items():
        connection.register(name, table)
        names = table.schema.names
        own = [n for n in names if n not in (*columns, *NOT_SHOWN)]
        columns += own
        shown += [f'{name}."{column}"' for column in own]
        same = [f"images.{key} = {name}.{key}" for key in KEYS if key in names]
        best = [f"{name}.best"] if "best" in names else []
        on = " AND ".join([*same, *best, f"{name}.round = 0"])
        joins.append(f"LEFT JOIN {name} ON {on}")
    return connection.sql(f"SELECT {', '.join(shown)} FROM {' '.join(joins)}")


def _duckdb() -> Any:
    try:
        import duckdb
    except ModuleNotFoundError as error:
        raise RequestError(
            'choosing images by an expression needs DuckDB: pip install "xaipipe[analytics]"; or '
            "name their ids"
        ) from error
    return duckdb
