// Everything on one screen: what is ill comes first.

import { CauseItem } from "../parts/cause";
import { Badge, Phase, serviceState } from "../parts/badge";
import { Empty, Table } from "../parts/table";
import { Graph, type Edge, type Node } from "../parts/graph";
import { Plot } from "../parts/plot";
import { useResource } from "../parts/resource";
import type { HostWhy, Overview as Rates, Route, Service } from "../api/types";
import { ChangeRows } from "./changes";
import { age, milliseconds, rate, share } from "../format";
import { history, now, outside, rates, services } from "../live";
import { link, location, refine } from "../routing";

const ORDER = { bad: 0, warn: 1, plain: 2, good: 2 };
/** How many services the graph shows: more of them, and nobody sees anything. */
const DRAWN = 40;
/** Of how many services that do not fare well the causes are listed. */
const LISTED = 20;

export function Overview() {
    const routes = useResource<Route[]>("/v1/routes");
    const all = services.value;
    if (!all) return <p>Waiting for the host …</p>;
    const perSecond = (service: Service) => now.value.get(service.name)?.perSecond ?? 0;
    const rank = (service: Service) => ORDER[serviceState(service).tone];
    const sorted = [...all].sort((one, other) => rank(one) - rank(other));
    // What is ill, and then what has most traffic.
    const drawn = [...sorted].sort((one, other) => rank(one) - rank(other) || perSecond(other) - perSecond(one));
    const wanted = location.value.query.get("name") ?? "";
    const shown = sorted.filter((service) => service.name.includes(wanted));
    return (
        <>
            <h1>Overview</h1>
            <WhatIsWrong />
            <Graph {...graph(drawn.slice(0, DRAWN), routes.value ?? [], [...rates.value.values()])} />
            {all.length > DRAWN && (
                <p>
                    The graph has the {DRAWN} services with trouble or most traffic; all {all.length} are in the table.
                </p>
            )}
            <form class="filters" onSubmit={(event) => event.preventDefault()}>
                <label>
                    Name{" "}
                    <input value={wanted} onInput={(event) => refine({ name: event.currentTarget.value.trim() })} />
                </label>
            </form>
            <Table
                caption="Services"
                head={["Service", "State", "Rate", "Failed", "p99", "In flight", "Revision", "Age", "Last minutes"]}
            >
                {shown.length === 0 && (
                    <Empty columns={9}>{wanted ? "No service has this name." : "The manifest names no service."}</Empty>
                )}
                {shown.map((service) => (
                    <Row key={service.name} service={service} />
                ))}
            </Table>
        </>
    );
}

/** What is wrong in the whole host, so that nobody has to look for it: what explains the rest comes first. */
function WhatIsWrong() {
    const why = useResource<HostWhy>("/v1/why").value;
    if (!why) return null;
    const { services, troubles, changes } = why;
    return (
        <section aria-label="What is wrong">
            {services.length + troubles.length > 0 && (
                <>
                    <h2>
                        {services.length > 0
                            ? `${services.length} of ${why.of_services} services do not fare well`
                            : "All services fare well, and of the host this does not work:"}
                    </h2>
                    <ol>
                        {troubles.map((trouble) => (
                            <li key={trouble}>{trouble}</li>
                        ))}
                        {services.slice(0, LISTED).flatMap(({ service, causes }) =>
                            causes.map((cause) => (
                                <CauseItem key={service + cause.path.join(" ") + cause.cause} cause={cause} />
                            )),
                        )}
                    </ol>
                    {services.length > LISTED && <p>These are {LISTED} of them; all are in the table.</p>}
                </>
            )}
            {changes.length > 0 && (
                <Table caption="Changed in the last ten minutes" head={["When", "What", "Where", "Why", "By"]}>
                    <ChangeRows changes={changes} />
                </Table>
            )}
        </section>
    );
}

function Row({ service }: { service: Service }) {
    const state = serviceState(service);
    const sample = now.value.get(service.name);
    const failed = sample && sample.perSecond > 0 ? sample.failedPerSecond / sample.perSecond : 0;
    return (
        <tr>
            <th scope="row">
                <a href={link(["services", service.name])}>{service.name}</a>
            </th>
            <td>
                <Badge tone={state.tone}>{state.word}</Badge>
            </td>
            <td class="number">{rate(sample?.perSecond)}</td>
            <td class="number">{share(failed)}</td>
            <td class="number">{milliseconds(rates.value.get(service.name)?.p99_ms)}</td>
            <td class="number">{sample?.inFlight ?? "–"}</td>
            <td>
                <code>{service.revision ?? "addresses"}</code>
                {service.canary && (
                    <>
                        {" "}
                        <a href={link(["rollouts", service.name])}>
                            <Phase of={service.canary} />
                        </a>
                    </>
                )}
                {service.differs_from_manifest && (
                    <span title="It differs from the manifest, because of a swap"> *</span>
                )}
            </td>
            <td class="number">{age(service.age_seconds)}</td>
            <td class="spark">
                <Plot
                    samples={history.value.get(service.name) ?? []}
                    height={32}
                    label={`Requests of ${service.name}`}
                />
            </td>
        </tr>
    );
}

/** Clients, the gateway, the services by their distance from it, and hosts outside. */
function graph(all: Service[], routes: Route[], minute: Rates[]): { nodes: Node[]; edges: Edge[] } {
    const calls = minute.flatMap((callee) => callee.callers.map((call) => ({ ...call, callee: callee.service })));
    const drawn = new Set(all.map((service) => service.name));
    const routed = new Set(routes.flatMap((route) => route.service ?? []).filter((name) => drawn.has(name)));
    const depth = new Map<string, number>([...routed].map((name) => [name, 2]));
    // Each round follows one more call, so a circle of calls ends it too.
    for (let round = 0; round < all.length; round++) {
        for (const { caller, callee } of calls) {
            const from = depth.get(caller);
            if (from !== undefined && !depth.has(callee)) depth.set(callee, from + 1);
        }
    }
    const nodes: Node[] = [
        { id: "clients", label: "clients", column: 0, tone: "plain", word: "" },
        {
            id: "gateway",
            label: "gateway",
            column: 1,
            tone: "plain",
            word: `${routes.length} routes`,
            page: ["routes"],
        },
    ];
    for (const service of all) {
        const { tone, word } = serviceState(service);
        nodes.push({
            id: service.name,
            label: service.name,
            column: depth.get(service.name) ?? 2,
            tone,
            word: service.canary ? `${word}, ${service.canary.phase} ${service.canary.canary?.share ?? 0} %` : word,
            page: ["services", service.name],
        });
    }
    const last = Math.max(...nodes.map((node) => node.column)) + 1;
    const edges: Edge[] = [];
    const called = new Map<string, number>();
    for (const call of calls) {
        called.set(call.callee, (called.get(call.callee) ?? 0) + call.calls_per_second);
        const failed = call.calls_per_second > 0 ? call.failures_per_second / call.calls_per_second : 0;
        edges.push({ from: call.caller, to: call.callee, perSecond: call.calls_per_second, failed });
    }
    let total = 0;
    for (const name of routed) {
        const sample = now.value.get(name);
        const perSecond = Math.max(0, (sample?.perSecond ?? 0) - (called.get(name) ?? 0));
        const failed = sample && sample.perSecond > 0 ? sample.failedPerSecond / sample.perSecond : 0;
        total += perSecond;
        edges.push({ from: "gateway", to: name, perSecond, failed });
    }
    edges.push({ from: "clients", to: "gateway", perSecond: total, failed: 0 });
    for (const host of outside.value.filter(({ service }) => drawn.has(service))) {
        const id = `outside ${host.host}`;
        if (!nodes.some((node) => node.id === id)) {
            const tone = host.breaker === "closed" ? "good" : host.breaker === "open" ? "bad" : "warn";
            nodes.push({
                id,
                label: host.host.replace(/^https?:\/\//, ""),
                column: last,
                tone,
                word: `circuit ${host.breaker}`,
            });
        }
        edges.push({
            from: host.service,
            to: id,
            perSecond: host.in_flight,
            failed: host.requests > 0 ? host.failures / host.requests : 0,
        });
    }
    return { nodes, edges };
}
