"""SQL that finds rows by their words: in the rows themselves, or by the database's text index.

The index is a GIN index on PostgreSQL. On SQLite it is a table of FTS5 that triggers keep.
"""

from collections.abc import Sequence
from functools import partial, reduce
from typing import Any

from sqlalchemy import (
    CTE,
    BindParameter,
    ColumnElement,
    Connection,
    GenerativeSelect,
    Index,
    Integer,
    Select,
    case,
    cast,
    column,
    func,
    literal_column,
    select,
    table,
    text,
    union_all,
)
from sqlalchemy.dialects.postgresql import TSQUERY

from omnidesk.db.base import Base
from omnidesk.db.change_log import ONE, ByDialect
from omnidesk.db.filters import Filters
from omnidesk.db.json_sql import Contains
from omnidesk.db.scans import Criterion, row_count

LEXEMES = "array_to_tsvector(array_remove(string_to_array(words, ' '), ''))"
# The filters that a query consists of: its terms, and what the index is asked for by whole words,
# by phrases and by a prefix.
QUERY = ("q", "q_word", "q_phrase", "q_prefix")


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


def by_words(entity: type[Base], filters: Filters, found: str = "") -> Criterion:
    """Return the criterion that rows have the words of a query, whose parts are filters.

    The candidates are their ids, or what they have in the column that is named by `found`. Only
    phrases are not known to the index of PostgreSQL.
    """
    words: Any = entity.words  # type: ignore[attr-defined]
    conditions = [Contains(words, term) for term in filters.items(QUERY[0])]
    single, phrases, prefix = (filters.items(name) for name in QUERY[1:])
    by_index = partial(candidates, entity, found, [*single, *phrases], prefix)
    return Criterion(conditions, by_index, exact=not phrases)


def candidates(
    entity: type[Base],
    found: str,
    whole: Sequence[BindParameter[str]],
    prefix: Sequence[BindParameter[str]],
    most: ColumnElement[int],
) -> Select[int]:
    """Select the ids of the rows that the text index finds, no more than so many.

    They may lack what is asked for: see `in_rarest`, and phrases are not known to the index.
    """
    key, index = entity.primary_key(), f"{entity.__tablename__}_search"
    texts = [fts5_rows(index, f"{index}_{n}", text, most) for n, text in enumerate(whole)]
    if prefix:
        word, beginning = prefix
        texts.append(beginning_with(index, word, beginning, most))
    shown = found or key.name
    rows = table(entity.__tablename__, column(key.name, Integer()), column(shown, Integer()))
    has_all = literal_column(LEXEMES).op("@@")(tsquery([*whole, *prefix[1:]]))
    by_gin = select(rows.c[shown].label("id")).where(has_all).limit(most)
    by_fts5 = in_rarest(texts, most)
    if found:
        by_fts5 = select(rows.c[shown].label("id")).where(rows.c[key.name].in_(by_fts5))
    either = ByDialect(postgresql=by_gin.scalar_subquery(), sqlite=by_fts5.scalar_subquery())
    return select(either.table_valued(column("id", Integer()), name=f"{rows.name}_found").c.id)


def merge_some(connection: Connection, index: str, pages: int) -> bool:
    """Merge so many pages of an index of SQLite's; return whether there was anything to merge.

    A number below 0 begins a merge of all parts (https://sqlite.org/fts5.html, section 6.8).
    """
    driver: Any = connection.connection.driver_connection
    before = driver.total_changes
    merge = "INSERT INTO {index} ({index}, rank) VALUES ('merge', {pages})"
    connection.execute(text(merge.format(index=index, pages=pages)))
    return bool(driver.total_changes - before > 1)


def fts5_rows(index: str, name: str, text: BindParameter[str], most: Any) -> CTE:
    """Return the ids of the rows that an index of SQLite's finds, no more than so many."""
    words = table(index, column("rowid", Integer()))
    found = select(words.c.rowid.label("id")).where(literal_column(index).op("MATCH")(text))
    # SQLite newer than 3.46 compiles a statement anew each time if this is a parameter, as which
    # SQLAlchemy writes an OFFSET that is not given.
    some = found.limit(most).offset(literal_column("0"))
    return some.cte(name).prefix_with("MATERIALIZED")


def beginning_with(
    index: str, word: BindParameter[str], prefix: BindParameter[str], most: ColumnElement[int]
) -> CTE:
    """Return the ids of the rows with a word that begins with another.

    FTS5 collects all of these before it returns one. So if there are as many with the word itself,
    it is not asked for others.
    """
    same = fts5_rows(index, f"{index}_word", word, most)
    few = row_count(same) < most
    others = fts5_rows(index, f"{index}_prefix", prefix, case((few, most), else_=0))
    either = union_all(select(same.c.id).where(~few), select(others.c.id))
    return either.cte(f"{index}_beginning").prefix_with("MATERIALIZED")


def tsquery(texts: Sequence[BindParameter[str]]) -> ColumnElement[Any]:
    """Return PostgreSQL's query for rows with all texts, such as `cannot & login && log:*`."""
    signs: Any = [literal_column(f"'{sign}'") for sign in (" ", " & ", "*", ":*")]
    parts = (func.replace(func.replace(text, *signs[:2]), *signs[2:]) for text in texts)
    queries: Any = (cast(part, TSQUERY) for part in parts)
    return reduce(lambda one, other: one.op("&&")(other), queries)


def in_rarest(found: Sequence[CTE], most: ColumnElement[int]) -> GenerativeSelect:
    """Select the ids that were found for the term with the fewest.

    To look for rows with several terms, FTS5 reads all rows of the most common one.
    """
    if len(found) == 1:
        return select(found[0].c.id).limit(most)
    numbered = [(literal_column(str(number), Integer()), rows) for number, rows in enumerate(found)]
    counts = union_all(
        *(select(n.label("n"), row_count(rows).label("rows")) for n, rows in numbered)
    ).subquery()
    rarest = select(counts.c.n).order_by(counts.c.rows).limit(ONE)
    return union_all(
        *(select(rows.c.id).where(rarest.scalar_subquery() == n) for n, rows in numbered)
    ).limit(most)
