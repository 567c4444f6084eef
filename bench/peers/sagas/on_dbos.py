"""The sagas on DBOS: on_dbos.py ADDRESS here|away

One process is application and clients, as DBOS means it: a saga is a function of this process, whose steps are written
to PostgreSQL when they have ended. The steps do nothing. With `away` the second step waits for ever.
"""

import asyncio
import sys

import psycopg
from dbos import DBOS, DBOSConfig
from orders import STEPS, obey

ADDRESS, CHARGES = sys.argv[1], sys.argv[2] == "here"


@DBOS.step()
async def done(name):
    if name == "charge" and not CHARGES:
        await asyncio.Event().wait()
    return name


@DBOS.workflow()
async def order():
    for name in STEPS:
        await done(name)


async def run():
    await (await DBOS.start_workflow_async(order)).get_result()


async def start():
    await DBOS.start_workflow_async(order)


async def completed():
    async with await psycopg.AsyncConnection.connect(ADDRESS) as connection:
        found = await connection.execute("SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'")
        return (await found.fetchone())[0]


async def main():
    # The version and the name are set, since the same saga goes on after the kill.
    DBOS(config=DBOSConfig(name="orders", system_database_url=ADDRESS, application_version="1", log_level="ERROR"))
    DBOS.launch()
    await obey(run, start, completed)


asyncio.run(main())
