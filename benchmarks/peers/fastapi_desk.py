"""The desk's tickets in FastAPI, as its tutorial teaches: response models, sessions, OAuth2."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import jwt
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import JSONResponse
from fastapi.security import OAuth2PasswordBearer
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import DateTime, ForeignKey, Text, create_engine, event, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.types import TypeDecorator

URL = make_url(os.environ["DATABASE_URL"])
SECRET_KEY = os.environ["SECRET_KEY"]
PUBLIC = bool(os.environ["PUBLIC_READS"])
if URL.drivername == "postgresql":
    URL = URL.set(drivername="postgresql+psycopg")
engine = create_engine(URL)


@event.listens_for(engine, "connect")
def prepare(connection: Any, _: Any) -> None:
    """Make SQLite as durable as OmniDesk does."""
    if engine.name == "sqlite":
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.create_function("acting_user", 0, lambda: 1)  # the change log's triggers ask
        connection.create_function("logged_operation", 0, lambda: None)


class Utc(TypeDecorator[datetime]):
    """An aware time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _: Any) -> datetime | None:
        """Convert to UTC."""
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _: Any) -> datetime | None:
        """Add the time zone that the database does not keep."""
        return value and value.replace(tzinfo=UTC)


class Words(TypeDecorator[list[str]]):
    """A list of words, as JSON in a text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: list[str] | None, _: Any) -> str:
        """Write the list as JSON."""
        return json.dumps(value or [])

    def process_result_value(self, value: str | None, _: Any) -> list[str]:
        """Read the list from JSON."""
        return list(json.loads(value or "[]"))


class Base(DeclarativeBase):
    """Base of all models."""

    type_annotation_map = {datetime: Utc}


class User(Base):
    """A member of staff."""

    __tablename__ = "app_user"

    user_id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str]
    role: Mapped[str]
    active: Mapped[bool]


class Client(Base):
    """A customer."""

    __tablename__ = "client"

    client_id: Mapped[int] = mapped_column(primary_key=True)


class Ticket(Base):
    """A ticket."""

    __tablename__ = "ticket"

    ticket_id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[int] = mapped_column(ForeignKey("client.client_id"))
    subject: Mapped[str]
    description: Mapped[str | None]
    priority: Mapped[str]
    status: Mapped[str]
    created_at: Mapped[datetime]
    due_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    assigned_to: Mapped[int | None] = mapped_column(ForeignKey("app_user.user_id"))
    tags: Mapped[list[str]] = mapped_column(Words, default=list)
    updated_at: Mapped[datetime]


class Priority(StrEnum):
    """How urgent a ticket is."""

    alta = "alta"
    media = "media"
    baja = "baja"


class Status(StrEnum):
    """The state of a ticket."""

    abierto = "abierto"
    en_progreso = "en_progreso"
    cerrado = "cerrado"


Id = Annotated[int, Field(ge=1, le=2**31 - 1)]


class TicketQuery(BaseModel):
    """The query parameters of the list."""

    model_config = ConfigDict(extra="forbid")

    status: Status | None = None
    priority: Priority | None = None
    assigned_to: Id | None = None
    client_id: Id | None = None
    limit: int = Field(50, ge=1, le=200)
    offset: int = Field(0, ge=0)


class TicketCreate(BaseModel):
    """A new ticket."""

    model_config = ConfigDict(extra="forbid")

    client_id: Id
    subject: str = Field(min_length=1, max_length=200)
    description: str | None = Field(None, max_length=10_000)
    priority: Priority = Priority.media
    status: Status = Status.abierto
    due_at: AwareDatetime | None = None
    assigned_to: Id | None = None


class TicketOut(BaseModel):
    """A ticket."""

    model_config = ConfigDict(from_attributes=True)

    ticket_id: int
    client_id: int
    subject: str
    description: str | None
    priority: Priority
    status: Status
    created_at: datetime
    due_at: datetime | None
    resolved_at: datetime | None
    assigned_to: int | None
    tags: list[str]
    updated_at: datetime


def get_session() -> Iterator[Session]:
    """Yield a session for one request."""
    with Session(engine) as session:
        yield session


SessionDep = Annotated[Session, Depends(get_session)]
oauth2_scheme = OAuth2PasswordBearer(tokenUrl="/api/login")
Token = Annotated[str, Depends(oauth2_scheme)]


def get_current_user(token: Token, session: SessionDep) -> User:
    """Return the user that a token names; raise 401."""
    fault = HTTPException(401, "Unauthorized", headers={"WWW-Authenticate": "Bearer"})
    try:
        payload = jwt.decode(token, SECRET_KEY, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        raise fault from None
    user = session.get(User, int(payload["sub"]))
    if user is None or not user.active:
        raise fault
    return user


app = FastAPI()
reading = [] if PUBLIC else [Depends(get_current_user)]


@app.exception_handler(IntegrityError)
def refused(_: Request, error: IntegrityError) -> JSONResponse:
    """Answer 400 when the database refuses a row."""
    return JSONResponse({"detail": "Bad Request"}, 400)


@app.get("/api/tickets", dependencies=reading, response_model=list[TicketOut])
def list_tickets(query: Annotated[TicketQuery, Query()], session: SessionDep) -> Any:
    """List tickets, newest first."""
    filters = query.model_dump(exclude_none=True, exclude={"limit", "offset"})
    tickets = select(Ticket).filter_by(**filters).order_by(Ticket.ticket_id.desc())
    return session.scalars(tickets.limit(query.limit).offset(query.offset)).all()


@app.get("/api/tickets/{ticket_id}", dependencies=reading, response_model=TicketOut)
def get_ticket(ticket_id: int, session: SessionDep) -> Any:
    """Show a ticket."""
    ticket = session.get(Ticket, ticket_id)
    if ticket is None:
        raise HTTPException(404, "Not Found")
    return ticket


@app.post(
    "/api/tickets",
    status_code=201,
    dependencies=[Depends(get_current_user)],
    response_model=TicketOut,
)
def create_ticket(data: TicketCreate, session: SessionDep) -> Any:
    """Open a ticket."""
    now = datetime.now(UTC).replace(microsecond=0)
    ticket = Ticket(**data.model_dump(), created_at=now, updated_at=now)
    session.add(ticket)
    session.commit()
    session.refresh(ticket)
    return ticket
