"""Which row of the desk stands for which row of another system."""

from collections.abc import Iterable, Mapping
from hashlib import sha256

from sqlalchemy import Index, String, bindparam, select, update
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base, db, enum_type
from omnidesk.db.inserts import insert_values

ENTITIES = ("client", "ticket", "comment", "conversation", "message")


def digest(external_id: str) -> str:
    """Return what stands for the external id of a row whose client was erased."""
    return sha256(external_id.encode()).hexdigest()


class SourceRow(Base):
    """A row that was imported. It stays when the row is deleted, so that this is not undone."""

    __tablename__ = "source_row"

    # First, so that even without statistics none but the rows that are looked for are read.
    external_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    source: Mapped[str] = mapped_column(String(32), primary_key=True)
    entity: Mapped[str] = mapped_column(enum_type("entity", *ENTITIES), primary_key=True)
    row_id: Mapped[int]

    __table_args__ = (Index(None, "row_id", "entity"),)

    @classmethod
    def ids(cls, source: str, entity: str, external_ids: Iterable[str]) -> dict[str, int]:
        """Return the ids of the rows of an entity that were imported, by their external ids."""
        names = {form: name for name in external_ids for form in (name, digest(name))}
        imported = select(cls.external_id, cls.row_id).where(
            cls.source == source, cls.entity == entity, cls.external_id.in_([*names])
        )
        return {names[form]: row_id for form, row_id in db.session.execute(imported)}

    @classmethod
    def note(cls, source: str, entity: str, ids: Mapping[str, int]) -> None:
        """Store the ids of rows of an entity that were imported, by their external ids."""
        common = {"source": source, "entity": entity}
        rows = [common | {"external_id": name, "row_id": row_id} for name, row_id in ids.items()]
        if rows:
            insert_values(cls, rows)

    @classmethod
    def forget(cls, entity: str, row_ids: Iterable[int]) -> None:
        """Keep digests of the external ids of rows, so that they are not imported once more."""
        noted = select(cls.source, cls.external_id).where(
            cls.entity == entity, cls.row_id.in_([*row_ids])
        )
        forgotten = [
            {"the_source": source, "name": name, "digest": digest(name)}
            for source, name in db.session.execute(noted)
        ]
        if forgotten:
            table = cls.__table__
            named = (table.c.source == bindparam("the_source"), table.c.entity == entity)
            forget = update(table).where(table.c.external_id == bindparam("name"), *named)
            db.session.connection().execute(
                forget.values(external_id=bindparam("digest")), forgotten
            )
