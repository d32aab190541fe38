"""Where a study lies: a journal in its folder, or a database that any machine may reach.

study.storage=sqlite:///studies.db
study.storage=postgresql://USER:PASSWORD@HOST/NAME     whatever SQLAlchemy has a driver for
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from gbench.errors import UserError
from gbench.locks import take
from gbench.passwords import without_password

EXAMPLES = "sqlite:///studies.db or postgresql://USER:PASSWORD@HOST/NAME"
SECONDS = 10  # until a server has answered
PACKAGES = {  # of drivers whose module has another name
    "psycopg": "'psycopg[binary]'",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
    "cx_Oracle": "cx-Oracle",
}
WAITING = {"psycopg2", "psycopg", "mysqldb", "pymysql"}  # that know connect_timeout


@contextmanager
def database_errors(url: str) -> Iterator[None]:
    """What a database says, as a UserError without the password."""
    import sqlalchemy
    from optuna.exceptions import StorageInternalError

    shown = f"study.storage={without_password(url)}"
    try:
        yield
    except (StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
        cause: Any = error
        while not isinstance(cause, sqlalchemy.exc.DBAPIError) and cause.__cause__ is not None:
            cause = cause.__cause__
        said = " ".join(str(getattr(cause, "orig", None) or cause).split())
        password = re.search(r"://[^:/@\s]*:([^\s/]*)@", url)
        said = said.replace(password[1], "***") if password and password[1] else said
        said = re.sub(r"[^\s'\"]+@", "***@", said).rstrip(".?")  # half a password that has an @
        raise UserError(
            f"{shown}: the database does not answer as it should: {said}. Is the server there, and "
            "are user, password (@ is %40, : is %3A) and name right? What the study has is kept: "
            "the same command goes on"
        ) from None


def open_database(optuna: ModuleType, url: str) -> Any:
    """Optuna's storage in the database of this URL.

    Raises UserError for a URL that is none, for a missing driver and for a server out of reach.
    """
    import sqlalchemy

    shown = f"study.storage={without_password(url)}"
    try:
        parts = sqlalchemy.make_url(url)
        driver = parts.get_dialect().driver
    except (sqlalchemy.exc.NoSuchModuleError, ImportError):
        raise UserError(
            f"{shown}: SQLAlchemy knows no such database or driver: type {EXAMPLES}"
        ) from None
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise UserError(f"{shown} is no URL of a database: type {EXAMPLES}") from None
    wait = {"connect_timeout": SECONDS} if driver in WAITING else {}
    if driver == "pysqlite":
        wait = {"timeout": 60}  # while another command writes
    options = {"connect_args": wait, "pool_pre_ping": True}
    with database_errors(url):
        try:
            return optuna.storages.RDBStorage(url, engine_kwargs=options)
        except ImportError as error:
            module = getattr(error.__cause__ or error, "name", None) or driver
            package = PACKAGES.get(module, module)
            raise UserError(f"{shown} needs a driver: pip install {package}") from None
        except RuntimeError as error:  # tables of another Optuna
            raise UserError(f"{shown}: {without_password(str(error))}") from None


def open_journal(optuna: ModuleType, folder: Path) -> Any:
    """Optuna's storage in `study.journal` of this folder."""
    journal = optuna.storages.journal
    backend = journal.JournalFileBackend(str(folder / "study.journal"), _JournalLock(folder))
    return optuna.storages.JournalStorage(backend)


class _JournalLock:
    """Optuna's lock of its journal, freed by the kernel when its holder dies.

    Optuna's own locks are files that a killed process leaves, and wait half a minute for it.
    """

    def __init__(self, folder: Path) -> None:
        self.journal, self.path = folder / "study.journal", folder / ".journal"

    def acquire(self) -> bool:
        self.file = self.path.open("w")
        take(self.file, wait=True)
        self._mend()
        return True

    def release(self) -> None:
        self.file.close()

    def _mend(self) -> None:
        """Cut off a line that its writer died in: the next one would be lost with it."""
        with self.journal.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            if size == 0:
                return
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
