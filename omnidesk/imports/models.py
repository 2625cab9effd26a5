"""Which row of the desk stands for which row of another system."""

from collections.abc import Iterable, Mapping

from sqlalchemy import Index, String, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base, db, enum_type

ENTITIES = ("client", "ticket", "comment", "conversation", "message")


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
        imported = select(cls.external_id, cls.row_id).where(
            cls.source == source, cls.entity == entity, cls.external_id.in_([*external_ids])
        )
        return dict(db.session.execute(imported).all())

    @classmethod
    def note(cls, source: str, entity: str, ids: Mapping[str, int]) -> None:
        """Store the ids of rows of an entity that were imported, by their external ids."""
        common = {"source": source, "entity": entity}
        rows = [common | {"external_id": name, "row_id": row_id} for name, row_id in ids.items()]
        if rows:
            db.session.execute(insert(cls), rows)
