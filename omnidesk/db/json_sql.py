"""SQL that writes rows as JSON, which SQLite and PostgreSQL spell differently."""

from typing import Any

from sqlalchemy import Boolean, String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class JsonValue(FunctionElement[str]):
    """A value as the API's JSON has it."""

    inherit_cache = True
    type = String()


class JsonTime(JsonValue):
    """A time as text: `2025-10-29T12:34:56Z`."""

    inherit_cache = True


class JsonBoolean(JsonValue):
    """A boolean column."""

    inherit_cache = True


class JsonText(JsonValue):
    """A text column that holds JSON."""

    inherit_cache = True


class JsonObject(JsonValue):
    """The JSON object of labelled columns, without white space."""

    inherit_cache = True


class JsonArray(JsonValue):
    """The JSON array of some columns, as text."""

    inherit_cache = True


class JsonLines(JsonValue):
    """The JSON of all rows, one on each line: JSON itself has no newline but an escaped one."""

    inherit_cache = True


class Contains(FunctionElement[bool]):
    """Whether a text contains another."""

    inherit_cache = True
    type = Boolean()


@compiles(JsonTime, "sqlite")
def time_on_sqlite(element: JsonTime, compiler: Any, **kwargs: Any) -> str:
    """Return a part of SQLite's text, which is in UTC already."""
    time = compiler.process(element.clauses, **kwargs)
    return f"replace(substr({time}, 1, 19) || 'Z', ' ', 'T')"


@compiles(JsonTime, "postgresql")
def time_on_postgresql(element: JsonTime, compiler: Any, **kwargs: Any) -> str:
    """Return to_char() of the time in UTC."""
    time = compiler.process(element.clauses, **kwargs)
    return f"""to_char({time} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"""


@compiles(JsonBoolean, "sqlite")
def boolean_on_sqlite(element: JsonBoolean, compiler: Any, **kwargs: Any) -> str:
    """Return true or false for SQLite's 1 or 0."""
    flag = compiler.process(element.clauses, **kwargs)
    return f"json(CASE {flag} WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE 'null' END)"


@compiles(JsonBoolean, "postgresql")
def boolean_on_postgresql(element: JsonBoolean, compiler: Any, **kwargs: Any) -> str:
    """Return the column: PostgreSQL has booleans."""
    return str(compiler.process(element.clauses, **kwargs))


@compiles(JsonText, "sqlite")
def text_on_sqlite(element: JsonText, compiler: Any, **kwargs: Any) -> str:
    """Return the text as JSON."""
    return f"json({compiler.process(element.clauses, **kwargs)})"


@compiles(JsonText, "postgresql")
def text_on_postgresql(element: JsonText, compiler: Any, **kwargs: Any) -> str:
    """Return the text as JSON."""
    return f"({compiler.process(element.clauses, **kwargs)})::json"


@compiles(JsonObject, "sqlite")
def object_on_sqlite(element: JsonObject, compiler: Any, **kwargs: Any) -> str:
    """Return SQLite's own JSON function."""
    pairs = (
        f"'{label.name}', {compiler.process(label.element, **kwargs)}" for label in element.clauses
    )
    return f"json_object({', '.join(pairs)})"


@compiles(JsonObject, "postgresql")
def object_on_postgresql(element: JsonObject, compiler: Any, **kwargs: Any) -> str:
    """Return row_to_json(), the only one of PostgreSQL's functions that writes no white space."""
    columns = (
        f'{compiler.process(label.element, **kwargs)} AS "{label.name}"'
        for label in element.clauses
    )
    row = f"SELECT {', '.join(columns)}"
    return f"(SELECT row_to_json(shown) FROM ({row}) AS shown)"  # noqa: S608 - our names


@compiles(JsonArray, "sqlite")
def array_on_sqlite(element: JsonArray, compiler: Any, **kwargs: Any) -> str:
    """Return SQLite's own JSON function."""
    return f"json_array({compiler.process(element.clauses, **kwargs)})"


@compiles(JsonArray, "postgresql")
def array_on_postgresql(element: JsonArray, compiler: Any, **kwargs: Any) -> str:
    """Return PostgreSQL's own JSON function."""
    return f"json_build_array({compiler.process(element.clauses, **kwargs)})::text"


@compiles(JsonLines, "sqlite")
def lines_on_sqlite(element: JsonLines, compiler: Any, **kwargs: Any) -> str:
    """Return the lines in the order of the rows."""
    return f"group_concat({compiler.process(element.clauses, **kwargs)}, char(10))"


@compiles(JsonLines, "postgresql")
def lines_on_postgresql(element: JsonLines, compiler: Any, **kwargs: Any) -> str:
    """Return the lines in the order of the rows."""
    return f"string_agg(({compiler.process(element.clauses, **kwargs)})::text, chr(10))"


@compiles(Contains, "sqlite")
def contains_on_sqlite(element: Contains, compiler: Any, **kwargs: Any) -> str:
    """Return SQLite's own function."""
    text, part = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"instr({text}, {part}) > 0"


@compiles(Contains, "postgresql")
def contains_on_postgresql(element: Contains, compiler: Any, **kwargs: Any) -> str:
    """Return PostgreSQL's own function."""
    text, part = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"strpos({text}, {part}::text) > 0"
