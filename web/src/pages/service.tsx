// One service: what it does, where, and what an operator can do about it.

import { order, send } from "../api/client";
import type { Change, Endpoint, Service, TrapReport, Use, Why } from "../api/types";
import { Badge, Circuit, Phase, endpointState, serviceState } from "../parts/badge";
import { ask } from "../parts/dialog";
import { Plot } from "../parts/plot";
import { useResource } from "../parts/resource";
import { Empty, Table } from "../parts/table";
import { ChangeRows } from "./changes";
import { TrapList } from "./traps";
import { age, bytes, count, milliseconds, rate, share } from "../format";
import { history, rates, services } from "../live";
import { link } from "../routing";

export function ServicePage({ name }: { name: string }) {
    const service = services.value?.find((service) => service.name === name);
    const traps = useResource<TrapReport[]>(`/v1/traps?service=${encodeURIComponent(name)}`);
    const changes = useResource<Change[]>(`/v1/changes?service=${encodeURIComponent(name)}`);
    if (!services.value) return <p>Waiting for the host …</p>;
    if (!service) return <p>The manifest names no service `{name}`.</p>;
    const state = serviceState(service);
    return (
        <>
            <h1>
                {name} <Badge tone={state.tone}>{state.word}</Badge>{" "}
                {service.canary && <Phase of={service.canary} />}
            </h1>
            {service.left_out && <p class="bad">{service.left_out}</p>}
            <Causes name={name} />
            <Facts service={service} />
            <Controls service={service} />
            <h2>Requests</h2>
            <Plot samples={history.value.get(name) ?? []} label={`Requests of ${name}`} />
            <Endpoints service={service} />
            <p>
                <a href={link(["traces"], { service: name })}>Traces</a> ·{" "}
                <a href={link(["logs"], { service: name })}>Log</a> ·{" "}
                <a href={link(["rollouts", name])}>Rollouts</a> ·{" "}
                <a href={link(["faults"])}>{count(service.faults.length, "fault")} on purpose</a>
            </p>
            <h2>Traps</h2>
            <TrapList reports={traps.value ?? []} absent={traps.absent} />
            <Table caption="Changes" head={["When", "What", "Where", "Why", "By"]}>
                <ChangeRows changes={changes.value ?? []} />
            </Table>
        </>
    );
}

function Facts({ service }: { service: Service }) {
    const minute = rates.value.get(service.name);
    const facts: [string, string][] = [
        ["Revision", service.revision ?? "plain addresses"],
        ["Serves for", age(service.age_seconds)],
        ["Before", service.previous ?? "–"],
        ["Balance", service.balance],
        ["Rate", rate(minute?.requests_per_second)],
        ["Failed", share(minute && minute.failed_percent / 100)],
        ["p99", milliseconds(minute?.p99_ms)],
        ["Refused, retries", minute ? `${minute.refused}, ${minute.retries}` : "–"],
        ["In flight", use(minute?.in_flight)],
        ["Wait", use(minute?.waiting)],
        ["Body memory", use(minute?.body_memory, bytes)],
        ["Slots of the pool", use(minute?.pool)],
    ];
    return (
        <dl class="facts">
            {facts.map(([name, value]) => (
                <div key={name}>
                    <dt>{name}</dt>
                    <dd>{value}</dd>
                </div>
            ))}
        </dl>
    );
}

/** What is used, beside its limit. */
function use(of: Use | undefined, text: (value: number) => string = String): string {
    if (!of) return "–";
    return of.limit > 0 ? `${text(of.used)} of ${text(of.limit)}` : text(of.used);
}

/** The first cause of what is wrong comes first, with the calls that lead to it. */
function Causes({ name }: { name: string }) {
    const why = useResource<Why>(`/v1/services/${encodeURIComponent(name)}/why`);
    if (!why.value || why.value.well) return null;
    return (
        <section aria-label="Why it does not fare well">
            <h2>Why</h2>
            <ol>
                {why.value.causes.map((cause) => (
                    <li key={cause.path.join(" ") + cause.cause}>
                        <strong>{cause.path.join(" → ")}</strong>: {cause.detail} Next: <code>{cause.next}</code>
                        {cause.needs !== null && `, which needs ${cause.needs}`}
                    </li>
                ))}
            </ol>
        </section>
    );
}

function Endpoints({ service }: { service: Service }) {
    return (
        <Table
            caption="Endpoints"
            head={[
                "Endpoint",
                "Where",
                "State",
                "Circuit",
                "Latency",
                "Requests",
                "Failed",
                "In flight",
                "Circuit orders",
            ]}
        >
            {service.endpoints.length === 0 && <Empty columns={9}>No endpoint.</Empty>}
            {service.endpoints.map((endpoint) => (
                <tr key={endpoint.id}>
                    <th scope="row">{endpoint.id}</th>
                    <td>{endpoint.place}</td>
                    <td>
                        <Badge tone={endpointState(endpoint).tone}>{endpointState(endpoint).word}</Badge>
                    </td>
                    <td>
                        <Circuit state={endpoint.breaker} forced={endpoint.forced} />
                    </td>
                    <td class="number">{milliseconds(endpoint.latency_ms)}</td>
                    <td class="number">{endpoint.requests}</td>
                    <td class="number">{endpoint.failures}</td>
                    <td class="number">{endpoint.in_flight}</td>
                    <td>
                        <CircuitOrders service={service.name} endpoint={endpoint} />
                    </td>
                </tr>
            ))}
        </Table>
    );
}

function CircuitOrders({ service, endpoint }: { service: string; endpoint: Endpoint }) {
    const orders: [string, string][] = [
        ["open", "It gets no calls until somebody closes or resets the circuit."],
        ["close", "It gets calls, and no failure opens the circuit, until somebody resets it."],
        ["reset", "The breaker decides again, and begins with a closed circuit."],
    ];
    const path = `/v1/services/${encodeURIComponent(service)}/breaker`;
    return (
        <span class="orders">
            {orders.map(([name, detail]) => (
                <button
                    key={name}
                    type="button"
                    onClick={() =>
                        ask({
                            title: `${name} the circuit of ${endpoint.id}?`,
                            detail,
                            action: `${name} it`,
                            act: async () => {
                                await order("POST", path, { order: name, endpoint: endpoint.id });
                                return `Circuit of ${endpoint.id}: ${name}.`;
                            },
                        })
                    }
                >
                    {name}
                </button>
            ))}
        </span>
    );
}

function Controls({ service }: { service: Service }) {
    const path = `/v1/services/${encodeURIComponent(service.name)}`;
    const swap = async (file: File) => {
        const answer = await send(`${path}/swap`, {
            method: "POST",
            body: file,
            headers: { "content-type": "application/wasm" },
        });
        const { revision } = (await answer.json()) as { revision: string };
        return `${service.name} serves revision ${revision}.`;
    };
    const chosen = (input: HTMLInputElement) => {
        const file = input.files?.[0];
        input.value = "";
        if (!file) return;
        ask({
            title: `Swap ${service.name}?`,
            detail:
                `${file.name} (${Math.ceil(file.size / 1024)} KiB) is checked against the contract, and then serves. ` +
                "Requests in flight finish on the old revision.",
            action: "Swap",
            act: () => swap(file),
        });
    };
    if (!service.revision) return null;
    return (
        <div class="actions">
            <label class="button">
                Swap …
                <input type="file" accept=".wasm,application/wasm" onChange={(event) => chosen(event.currentTarget)} />
            </label>
            <button
                type="button"
                disabled={!service.previous}
                onClick={() =>
                    ask({
                        title: `Roll ${service.name} back?`,
                        detail: `Revision ${service.previous} serves again.`,
                        action: "Roll back",
                        act: async () => {
                            const { revision } = await order<{ revision: string }>("POST", `${path}/rollback`);
                            return `${service.name} serves revision ${revision} again.`;
                        },
                    })
                }
            >
                Roll back
            </button>
        </div>
    );
}
