"""Analysts' corrections in a database: the service writes them, training reads them back as annotations.

SQLite (a file, write-ahead log, every commit on disk) or PostgreSQL, by URL. The table is the contract. Knows neither
HTTP nor whether a label exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeVar

import sqlalchemy as sql
import sqlalchemy.event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from policytag.errors import InputError, PolicytagError

T = TypeVar("T")

DEFAULT_URL = "sqlite:///corrections.sqlite"
"""Where corrections are kept if nothing else is said: a file in the working directory."""
BUSY_SECONDS = 10
"""How long a writer waits for another one."""

_INSERT = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_METADATA = sql.MetaData()
TABLE = sql.Table(
    "corrections",
    _METADATA,
    sql.Column("number", sql.Integer, primary_key=True, comment="order of arrival"),
    sql.Column("id", sql.Text, nullable=False, unique=True, comment="given by the sender"),
    sql.Column("doc", sql.Text, nullable=False),
    sql.Column("text", sql.Text, nullable=False),
    sql.Column("instruments", sql.JSON, nullable=False, comment="label ids"),
    sql.Column("industries", sql.JSON, nullable=False, comment="label ids"),
    sql.Column("annotator", sql.Text, nullable=False),
    sql.Column("model", sql.Text, nullable=False, comment="version of the model that was corrected"),
    sql.Column("taxonomy", sql.Text, nullable=False, comment="version of the taxonomy the labels are from"),
    sql.Column("created", sql.DateTime(timezone=True), nullable=False),
    sqlite_autoincrement=True,
)


class ConflictError(InputError):
    """An id that is taken by a correction of other content.

    Attributes:
        index: Which of the corrections it was, from 0.
    """

    def __init__(self, correction_id: str, index: int) -> None:
        super().__init__(
            f"id '{correction_id}': a correction of other content has it; send another id to correct again"
        )
        self.index = index


class StoreError(PolicytagError):
    """The database cannot be used."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What an analyst says a paragraph's labels are.

    Attributes:
        id: Given by the sender, so that sending it again changes nothing.
        doc: The document the paragraph is from; may be empty.
        text: The paragraph.
        instruments: Label ids.
        industries: Label ids.
        annotator: Who says so; may be empty.
        model: Version of the model whose answer was corrected; may be empty.
        taxonomy: Version of the taxonomy that the labels are from.
    """

    id: str
    doc: str
    text: str
    instruments: tuple[str, ...]
    industries: tuple[str, ...]
    annotator: str = ""
    model: str = ""
    taxonomy: str = ""

    def annotation(self) -> dict[str, Any]:
        """The row that ``policytag-train`` reads; a correction without a document is a document of its own."""
        own = f"correction:{self.id}"
        return {
            "id": own,
            "doc": self.doc or own,
            "text": self.text,
            "instruments": list(self.instruments),
            "industries": list(self.industries),
            "annotator": self.annotator,
        }


class Corrections:
    """The corrections of one database. Safe to share between threads and processes.

    Args:
        url: ``sqlite:///file.sqlite`` or ``postgresql://user:password@host/name``.

    Raises:
        InputError: If it is no such URL.
    """

    def __init__(self, url: str = DEFAULT_URL) -> None:
        try:
            self._url = sql.make_url(url)
        except ArgumentError:
            raise InputError(f"'{url}': no database URL; expected sqlite:///FILE or postgresql://…") from None
        if self._url.drivername in ("postgresql", "postgres"):
            self._url = self._url.set(drivername="postgresql+psycopg")
        if self._url.get_backend_name() not in _INSERT:
            raise InputError(
                f"'{self._url.get_backend_name()}': no such store; expected sqlite:///FILE or postgresql://…"
            )

    def add(self, corrections: Sequence[Correction]) -> list[bool]:
        """Keeps corrections, all or none; when it returns they are on disk.

        Returns:
            Which of them are new; the others were there already, just so.

        Raises:
            ConflictError: Naming an id that is taken by other content.
            StoreError: If the database cannot be used.
        """
        return self._tried(lambda: self._add(corrections))

    def latest(self) -> Iterator[Correction]:
        """The last correction of each paragraph of each document, in order of arrival.

        Raises:
            StoreError: If the database cannot be used.
        """
        columns = [TABLE.c[field.name] for field in fields(Correction)]
        last = sql.select(sql.func.max(TABLE.c.number)).group_by(TABLE.c.doc, TABLE.c.text)
        query = sql.select(*columns).where(TABLE.c.number.in_(last)).order_by(TABLE.c.number)

        def read() -> list[Correction]:
            with self._engine.connect() as connection:
                return [_correction(row) for row in connection.execute(query)]

        yield from self._tried(read)

    def close(self) -> None:
        """Gives the connections back."""
        if "_engine" in self.__dict__:
            self._engine.dispose()

    def _add(self, corrections: Sequence[Correction]) -> list[bool]:
        insert = _INSERT[self._engine.dialect.name](TABLE).on_conflict_do_nothing(index_elements=["id"])
        insert = insert.returning(TABLE.c.id)  # a row if it was inserted, none if the id was taken
        created = datetime.now(UTC)
        new: list[bool] = []
        with self._engine.begin() as connection:
            for index, correction in enumerate(corrections):
                row = asdict(correction) | {"created": created}
                new.append(connection.execute(insert.values(row)).first() is not None)
                if not new[-1] and _stored(connection, correction.id) != correction:
                    raise ConflictError(correction.id, index)
        return new

    @cached_property
    def _engine(self) -> sql.Engine:
        engine = sql.create_engine(self._url, pool_pre_ping=True)
        if engine.dialect.name == "sqlite":
            sqlalchemy.event.listen(engine, "connect", _durable)
        _METADATA.create_all(engine)
        return engine

    def _tried(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except (DBAPIError, NoSuchModuleError, ModuleNotFoundError) as error:
            reason = str(getattr(error, "orig", error)).strip().partition("\n")[0]
            where = self._url.render_as_string(hide_password=True)
            raise StoreError(f"{where}: the corrections cannot be reached ({reason}); check the database") from error


def _durable(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_SECONDS * 1000}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _stored(connection: sql.Connection, correction_id: str) -> Correction:
    columns = [TABLE.c[field.name] for field in fields(Correction)]
    return _correction(connection.execute(sql.select(*columns).where(TABLE.c.id == correction_id)).one())


def _correction(row: Any) -> Correction:
    values: dict[str, Any] = dict(row._mapping)
    values |= {key: tuple(values[key]) for key in ("instruments", "industries")}
    return Correction(**values)
