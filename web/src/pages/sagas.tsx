// Sagas: those under way, those that wait for a person, and what each step of one is at.

import { order } from "../api/client";
import type { Saga } from "../api/types";
import { Badge, type Tone } from "../parts/badge";
import { ask } from "../parts/dialog";
import { useResource } from "../parts/resource";
import { Empty, Table } from "../parts/table";
import { age, clock, count } from "../format";
import { link, location, refine } from "../routing";

const TONE: Record<string, Tone> = {
    running: "plain",
    compensating: "warn",
    parked: "bad",
    completed: "good",
    compensated: "plain",
};

export function Sagas() {
    const state = location.value.query.get("state") ?? "";
    const sagas = useResource<Saga[]>(`/v1/sagas?limit=200${state ? `&state=${encodeURIComponent(state)}` : ""}`);
    return (
        <>
            <h1>Sagas</h1>
            <form class="filters" onSubmit={(event) => event.preventDefault()}>
                <label>
                    Which{" "}
                    <select value={state} onChange={(event) => refine({ state: event.currentTarget.value })}>
                        <option value="">not ended</option>
                        <option value="parked">waiting for a person</option>
                        <option value="ended">ended</option>
                    </select>
                </label>
            </form>
            {sagas.error && <p class="bad">{sagas.error}</p>}
            <Table caption="Sagas" head={["Saga", "Id", "State", "Step", "Started", "Took", "Failed tries", "Why"]}>
                {sagas.value?.length === 0 && <Empty columns={8}>No such saga.</Empty>}
                {sagas.value?.map((saga) => (
                    <tr key={saga.id}>
                        <td>{saga.saga}</td>
                        <th scope="row">
                            <a href={link(["sagas", saga.id])}>{saga.id}</a>
                        </th>
                        <td>
                            <Badge tone={TONE[saga.state] ?? "plain"}>{saga.state}</Badge>
                        </td>
                        <td>{progress(saga)}</td>
                        <td class="when">{clock(saga.started)}</td>
                        <td class="number">{age(seconds(saga))}</td>
                        <td class="number">{saga.failures}</td>
                        <td class="line">{(saga.failure ?? saga.turned)?.split("\n", 1)[0]}</td>
                    </tr>
                ))}
            </Table>
        </>
    );
}

function progress(saga: Saga): string {
    const done = `${saga.done} of ${saga.steps} done`;
    return saga.step ? `${saga.step}, ${done}` : done;
}

function seconds(saga: Saga): number {
    return ((saga.ended ?? Date.now()) - saga.started) / 1000;
}

export function SagaPage({ id }: { id: string }) {
    const saga = useResource<Saga>(`/v1/sagas/${encodeURIComponent(id)}`);
    const status = saga.value;
    return (
        <>
            <p>
                <a href={link(["sagas"])}>All sagas</a>
            </p>
            <h1>
                Saga {status?.saga} <code>{id}</code>{" "}
                {status && <Badge tone={TONE[status.state] ?? "plain"}>{status.state}</Badge>}
            </h1>
            {saga.error && <p class="bad">{saga.error}</p>}
            {status && <Status saga={status} />}
        </>
    );
}

function Status({ saga }: { saga: Saga }) {
    const facts: [string, string][] = [
        ["Started", clock(saga.started)],
        ["Ended", saga.ended === undefined ? "–" : clock(saga.ended)],
        ["Took", age(seconds(saga))],
        ["Steps done", `${saga.done} of ${saga.steps}`],
        ["Failed tries", String(saga.failures)],
    ];
    return (
        <>
            <dl class="facts">
                {facts.map(([name, value]) => (
                    <div key={name}>
                        <dt>{name}</dt>
                        <dd>{value}</dd>
                    </div>
                ))}
            </dl>
            {saga.turned && <p class="warn">It is undone because of {saga.turned}</p>}
            {saga.failure && (
                <p class="bad">
                    `{saga.step}` has failed {count(saga.failures, "time")}: {saga.failure}
                </p>
            )}
            <Orders saga={saga} />
            {saga.plan && <Steps plan={saga.plan} />}
            {saga.result !== undefined && (
                <>
                    <h2>Result</h2>
                    <pre>{JSON.stringify(saga.result, null, 2)}</pre>
                </>
            )}
        </>
    );
}

const STEP: Record<string, Tone> = { done: "good", "under-way": "warn", undone: "plain", waiting: "plain" };

function Steps({ plan }: { plan: NonNullable<Saga["plan"]> }) {
    return (
        <Table caption="Steps, in order" head={["Step", "State"]}>
            {plan.map(({ name, state }) => (
                <tr key={name}>
                    <th scope="row">{name}</th>
                    <td>
                        <Badge tone={STEP[state] ?? "plain"}>{state}</Badge>
                    </td>
                </tr>
            ))}
        </Table>
    );
}

function Orders({ saga }: { saga: Saga }) {
    if (saga.ended !== undefined) return null;
    const orders: [string, string, boolean, string][] = [
        ["Retry", "retry", saga.state === "parked", "The step that it waits at is tried again."],
        [
            "Skip",
            "skip",
            saga.state === "parked",
            "It goes on as if that step were done, or undone: do that by hand first.",
        ],
        ["Compensate", "compensate", saga.turned === undefined, "All steps that have begun are undone."],
    ];
    return (
        <div class="actions">
            {orders.map(([name, word, possible, detail]) => (
                <button
                    key={word}
                    type="button"
                    disabled={!possible}
                    onClick={() =>
                        ask({
                            title: `${name} saga ${saga.saga}?`,
                            detail: `${detail} It is at ${saga.step ?? "no step"} now.`,
                            action: name,
                            act: async () => {
                                const to = `/v1/sagas/${encodeURIComponent(saga.id)}/${word}`;
                                const now = await order<Saga>("POST", to);
                                return `Saga ${saga.id} is ${now.state}.`;
                            },
                        })
                    }
                >
                    {name} …
                </button>
            ))}
        </div>
    );
}
