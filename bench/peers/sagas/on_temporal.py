"""The sagas on Temporal: on_temporal.py ADDRESS worker|clients

`worker` runs the workflow and the first, third and fourth step; `charge` is the worker of the second step, so that it
can be kept away; `clients` starts sagas. The steps do nothing.
"""

import asyncio
import sys
import uuid
from datetime import timedelta

from orders import STEPS, obey
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, UnsandboxedWorkflowRunner, Worker

QUEUE, CHARGES = "orders", "charges"


@activity.defn
async def done(name: str) -> str:
    return name


@workflow.defn
class Order:
    @workflow.run
    async def run(self) -> None:
        for name in STEPS:
            queue = CHARGES if name == "charge" else QUEUE
            # A step that was under way in a worker which was killed is tried again after this time.
            await workflow.execute_activity(done, name, task_queue=queue, start_to_close_timeout=timedelta(seconds=10))


async def work(client, queue, workflows):
    # As much at a time as it can have, without the sandbox that looks for code which is not deterministic.
    polls = PollerBehaviorAutoscaling()
    await Worker(client, task_queue=queue, workflows=workflows, activities=[done],
                 workflow_runner=UnsandboxedWorkflowRunner(), max_cached_workflows=20_000,
                 max_concurrent_activities=1000, max_concurrent_workflow_tasks=1000,
                 workflow_task_poller_behavior=polls, activity_task_poller_behavior=polls).run()


async def serve_clients(client):
    async def start():
        return await client.start_workflow(Order.run, id=str(uuid.uuid4()), task_queue=QUEUE)

    async def run():
        await (await start()).result()

    async def completed():
        return (await client.count_workflows("ExecutionStatus = 'Completed'")).count

    await obey(run, start, completed)


async def main():
    client = await Client.connect(sys.argv[1])
    if sys.argv[2] == "clients":
        await serve_clients(client)
    elif sys.argv[2] == "worker":
        await work(client, QUEUE, [Order])
    else:
        await work(client, CHARGES, [])


asyncio.run(main())
