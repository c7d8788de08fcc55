"""The migrations make what tables.py says."""

from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import create_async_engine

from services.notifier.tables import metadata


async def test_migrations_make_the_tables_columns_and_indexes(database_url: str) -> None:
    engine = create_async_engine(database_url)
    async with engine.connect() as connection:

        def read(sync: object) -> dict[str, tuple[dict[str, bool], set[str], list[str]]]:
            inspector = inspect(sync)
            return {
                name: (
                    {column["name"]: column["nullable"] for column in inspector.get_columns(name)},
                    {index["name"] for index in inspector.get_indexes(name) if not index.get("duplicates_constraint")},
                    inspector.get_pk_constraint(name)["constrained_columns"],
                )
                for name in inspector.get_table_names()
                if name in metadata.tables
            }

        found = await connection.run_sync(read)
    await engine.dispose()
    wanted = {
        name: (
            {column.name: bool(column.nullable) for column in table.columns},
            {str(index.name) for index in table.indexes},
            [column.name for column in table.primary_key.columns],
        )
        for name, table in metadata.tables.items()
    }
    assert found == wanted
