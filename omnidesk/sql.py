"""SQL that SQLite and PostgreSQL spell differently: times and rows as the API writes them."""

from typing import Any

from sqlalchemy import Boolean, String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class Written(FunctionElement[str]):
    """A value as JSON shows it."""

    inherit_cache = True
    type = String()


class Zulu(Written):
    """A time: `2025-10-29T12:34:56Z`."""

    inherit_cache = True


class Flag(Written):
    """A truth value: `true`."""

    inherit_cache = True


class Json(Written):
    """JSON that a column holds as text."""

    inherit_cache = True


class Object(Written):
    """The JSON object of labelled columns, as orjson writes it."""

    inherit_cache = True


class Array(Written):
    """The JSON array of some columns."""

    inherit_cache = True


class Lines(Written):
    """All rows' JSON, a line each: a newline within a text is an escape in JSON."""

    inherit_cache = True


class Contains(FunctionElement[bool]):
    """Whether a text contains another, in any case of ASCII letters."""

    inherit_cache = True
    type = Boolean()


@compiles(Zulu, "sqlite")
def zulu_on_sqlite(element: Zulu, compiler: Any, **kwargs: Any) -> str:
    """Cut it out of SQLite's text, which is in UTC already."""
    time = compiler.process(element.clauses, **kwargs)
    return f"substr({time}, 1, 10) || 'T' || substr({time}, 12, 8) || 'Z'"


@compiles(Zulu, "postgresql")
def zulu_on_postgresql(element: Zulu, compiler: Any, **kwargs: Any) -> str:
    """Let PostgreSQL write it."""
    time = compiler.process(element.clauses, **kwargs)
    return f"""to_char({time} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"""


@compiles(Flag, "sqlite")
def flag_on_sqlite(element: Flag, compiler: Any, **kwargs: Any) -> str:
    """Make JSON of SQLite's numbers."""
    flag = compiler.process(element.clauses, **kwargs)
    return f"json(CASE {flag} WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE 'null' END)"


@compiles(Flag, "postgresql")
def flag_on_postgresql(element: Flag, compiler: Any, **kwargs: Any) -> str:
    """Leave it: PostgreSQL knows truth values."""
    return str(compiler.process(element.clauses, **kwargs))


@compiles(Json, "sqlite")
def json_on_sqlite(element: Json, compiler: Any, **kwargs: Any) -> str:
    """Let it be no text."""
    return f"json({compiler.process(element.clauses, **kwargs)})"


@compiles(Json, "postgresql")
def json_on_postgresql(element: Json, compiler: Any, **kwargs: Any) -> str:
    """Let it be no text."""
    return f"({compiler.process(element.clauses, **kwargs)})::json"


@compiles(Object, "sqlite")
def object_on_sqlite(element: Object, compiler: Any, **kwargs: Any) -> str:
    """Let SQLite write it."""
    pairs = (
        f"'{label.name}', {compiler.process(label.element, **kwargs)}" for label in element.clauses
    )
    return f"json_object({', '.join(pairs)})"


@compiles(Object, "postgresql")
def object_on_postgresql(element: Object, compiler: Any, **kwargs: Any) -> str:
    """Let PostgreSQL write it as a row, the one form that has no blanks."""
    columns = (
        f'{compiler.process(label.element, **kwargs)} AS "{label.name}"'
        for label in element.clauses
    )
    row = f"SELECT {', '.join(columns)}"
    return f"(SELECT row_to_json(shown)::text FROM ({row}) AS shown)"  # noqa: S608 - our names


@compiles(Array, "sqlite")
def array_on_sqlite(element: Array, compiler: Any, **kwargs: Any) -> str:
    """Let SQLite write it."""
    return f"json_array({compiler.process(element.clauses, **kwargs)})"


@compiles(Array, "postgresql")
def array_on_postgresql(element: Array, compiler: Any, **kwargs: Any) -> str:
    """Let PostgreSQL write it."""
    return f"json_build_array({compiler.process(element.clauses, **kwargs)})::text"


@compiles(Lines, "sqlite")
def lines_on_sqlite(element: Lines, compiler: Any, **kwargs: Any) -> str:
    """Join them in the order in which they come."""
    return f"group_concat({compiler.process(element.clauses, **kwargs)}, char(10))"


@compiles(Lines, "postgresql")
def lines_on_postgresql(element: Lines, compiler: Any, **kwargs: Any) -> str:
    """Join them in the order in which they come."""
    return f"string_agg({compiler.process(element.clauses, **kwargs)}, chr(10))"


@compiles(Contains, "sqlite")
def contains_on_sqlite(element: Contains, compiler: Any, **kwargs: Any) -> str:
    """Look for it."""
    text, part = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"instr(lower({text}), lower({part})) > 0"


@compiles(Contains, "postgresql")
def contains_on_postgresql(element: Contains, compiler: Any, **kwargs: Any) -> str:
    """Look for it."""
    text, part = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"strpos(lower({text}), lower({part}::text)) > 0"
