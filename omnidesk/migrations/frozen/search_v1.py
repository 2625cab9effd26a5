"""Frozen: the text index of the words of a table's rows, from version 0021 on."""

GIN = """
CREATE INDEX ix_{table}_words ON {table}
USING gin (array_to_tsvector(array_remove(string_to_array(words, ' '), ''))) WITH (fastupdate = off)
"""
# The words are folded already, and nothing but blanks separates them: the tokenizer `ascii` takes
# every letter of another script for a part of a word. Each word notes its rows and nothing more.
FTS5 = """
CREATE VIRTUAL TABLE {index} USING fts5(
    words, content='{table}', content_rowid='{table}_id',
    tokenize='ascii', detail=none, columnsize=0, prefix='3'
)
"""
# Writers do not merge what is in the index: `prune` does.
OPTIONS = {"automerge": 0, "crisismerge": 64}
COMMAND = "INSERT INTO {index} ({index}, rank) VALUES ('{name}', {value})"
REBUILD = "INSERT INTO {index} ({index}) VALUES ('rebuild')"
ADD = "INSERT INTO {index} (rowid, words) VALUES (NEW.{table}_id, NEW.words)"
REMOVE = "INSERT INTO {index} ({index}, rowid, words) VALUES ('delete', OLD.{table}_id, OLD.words)"
TRIGGERS = {
    "insert": ("INSERT", "NEW", (ADD,)),
    "delete": ("DELETE", "OLD", (REMOVE,)),
    "update": ("UPDATE OF words", "OLD", (REMOVE, ADD)),
}


def gin_index(table: str) -> str:
    """Return the statement that makes PostgreSQL's index of all words of a table."""
    return GIN.format(table=table)


def fts5_table(table: str, index: str) -> list[str]:
    """Return the statements that make an empty index of SQLite's."""
    options = (COMMAND.format(index=index, name=k, value=v) for k, v in OPTIONS.items())
    return [FTS5.format(table=table, index=index), *options]


def rebuild(index: str) -> str:
    """Return the statement that fills an index of SQLite's."""
    return REBUILD.format(index=index)


def fts5_triggers(table: str, index: str, condition: str = "TRUE") -> list[str]:
    """Return the statements that make the triggers which keep such an index.

    A change of anything but the words leaves it as it is. `condition` tells of a `{row}` whether
    the index has it.
    """
    found = []
    for name, (event, row, actions) in TRIGGERS.items():
        when = condition.format(row=row)
        if name == "update":
            when += " AND OLD.words IS NOT NEW.words"
        body = "; ".join(action.format(table=table, index=index) for action in actions)
        found.append(
            f"CREATE TRIGGER {index}_{name} AFTER {event} ON {table} WHEN {when} BEGIN {body}; END"
        )
    return found
