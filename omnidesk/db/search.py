"""SQL that finds rows by their words: in the rows themselves, or by the database's text index.

The index is a GIN index on PostgreSQL. On SQLite it is a table of FTS5 that triggers keep.
"""

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    FromClause,
    Index,
    Integer,
    Select,
    String,
    bindparam,
    column,
    literal_column,
    select,
    table,
    text,
)

from omnidesk.db.base import Base
from omnidesk.db.change_log import ByDialect
from omnidesk.db.json_sql import Contains

LEXEMES = "array_to_tsvector(array_remove(string_to_array(words, ' '), ''))"
TSQUERY = "CAST(replace(replace({}, ' ', ' & '), '*', ':*') AS tsquery)"

Narrow = Callable[[Select[Any], ColumnElement[int]], Select[Any]]


def text_index(table_name: str) -> Index:
    """Return the index of a table's words on PostgreSQL."""
    # Without a list of new entries, which some writer would have to sort in.
    index = Index(
        f"ix_{table_name}_words",
        text(LEXEMES),
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )
    return index.ddl_if(dialect="postgresql")


def matches(entity: Any, terms: Iterable[BindParameter[str]]) -> list[ColumnElement[bool]]:
    """Return the conditions that a row's words contain each term of a query."""
    return [Contains(entity.words, term) for term in terms]


def candidates(entity: type[Base], name: str, narrow: Narrow) -> FromClause:
    """Return a table with the `id` of rows that the text index finds.

    The parameter `name` is the `index_text` of a query. The rows have all its words, but perhaps
    not its phrases: compare their words by `matches`. `narrow` gets the select of the ids and
    the column with them; it adds an order, a limit, or where to begin.
    """
    key = entity.primary_key()
    words = table(f"{entity.__tablename__}_search", column("rowid", Integer()))
    asked = literal_column(words.name).op("MATCH")(bindparam(name, type_=String()))
    by_fts5 = narrow(select(words.c.rowid.label("id")).where(asked), words.c.rowid)
    rows = table(entity.__tablename__, column(key.name, Integer()))
    tsquery = text(TSQUERY.format(f":{name}")).bindparams(bindparam(name, type_=String()))
    found = select(rows.c[key.name].label("id")).where(literal_column(LEXEMES).op("@@")(tsquery))
    # PostgreSQL would rather walk all rows from the newest, but for the offset.
    each = found.offset(literal_column("0")).subquery()
    by_gin = narrow(select(each.c.id), each.c.id)
    found_by = ByDialect(postgresql=by_gin.scalar_subquery(), sqlite=by_fts5.scalar_subquery())
    return found_by.table_valued(column("id", Integer()), name=f"{entity.__tablename__}_found")
