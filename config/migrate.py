"""Bringing the database to the schema of this release: forward only, refused where a newer release was at work."""

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from config.db import Database
from config.errors import ConclaveError


class SchemaError(ConclaveError):
    """The database's schema is not the one that this release works with."""

    code = "schema"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "config:migrations")
    return config


def head_revision() -> str:
    """The revision of this release."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


async def current_revision(db: Database) -> str | None:
    """The database's revision; ``None`` for an empty one."""
    async with db.read() as connection:
        return await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())


async def check_schema(db: Database) -> None:
    """Return when the database has the schema of this release.

    Raises:
        SchemaError: It is older or newer.
    """
    current = await current_revision(db)
    _refuse_newer(current)
    if current != head_revision():
        raise SchemaError(
            f"the database is at schema {current or 'none'}, this release needs {head_revision()}",
            hint="conclave migrate",
        )


async def upgrade(db: Database) -> bool:
    """Bring the database to the schema of this release; false when it was there.

    Raises:
        SchemaError: A newer release was at work on it.
    """
    current = await current_revision(db)
    _refuse_newer(current)
    if current == head_revision():
        return False
    async with db.begin() as connection:
        await connection.run_sync(_upgrade)
    return True


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _refuse_newer(current: str | None) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if current is not None and current not in known:
        raise SchemaError(
            f"the database has schema {current}, which this release does not know: a newer Conclave was here",
            hint="install that release, or put back a backup from before the upgrade",
        )
