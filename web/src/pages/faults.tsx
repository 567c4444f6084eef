// Faults on purpose: those that are active, and a form for a new one.

import { useState } from "preact/hooks";
import { order } from "../api/client";
import type { Fault } from "../api/types";
import { ask } from "../parts/dialog";
import { useResource } from "../parts/resource";
import { Empty, Table } from "../parts/table";
import { age, count } from "../format";
import { services } from "../live";

export function Faults() {
    const faults = useResource<Fault[]>("/v1/faults");
    return (
        <>
            <h1>Faults on purpose</h1>
            {faults.error && <p class="bad">{faults.error}</p>}
            <Table
                caption="Active faults"
                head={["Service", "Latency", "Of calls", "Errors", "Traps", "Ends in", "From", "Order"]}
            >
                {faults.value?.length === 0 && <Empty columns={8}>No fault is active.</Empty>}
                {faults.value?.map((fault) => (
                    <tr key={fault.id}>
                        <th scope="row">{fault.service}</th>
                        <td class="number">{fault.latency_ms} ms</td>
                        <td class="number">{fault.latency_share}</td>
                        <td class="number">{fault.error}</td>
                        <td class="number">{fault.trap}</td>
                        <td>{fault.seconds_left === null ? "when it is cleared" : age(fault.seconds_left)}</td>
                        <td>{fault.origin}</td>
                        <td>
                            <button
                                type="button"
                                onClick={() =>
                                    ask({
                                        title: `Clear fault ${fault.id} of ${fault.service}?`,
                                        detail: "Its calls are disturbed no longer.",
                                        action: "Clear",
                                        act: async () => {
                                            const { cleared } = await order<{ cleared: number }>(
                                                "DELETE",
                                                `/v1/faults/${fault.id}`,
                                            );
                                            return `${count(cleared, "fault")} cleared.`;
                                        },
                                    })
                                }
                            >
                                Clear
                            </button>
                        </td>
                    </tr>
                ))}
            </Table>
            <NewFault />
        </>
    );
}

function NewFault() {
    const [service, setService] = useState("");
    const [latency, setLatency] = useState("");
    const [error, setError] = useState("");
    const [seconds, setSeconds] = useState("60");
    const plant = () =>
        ask({
            title: `Disturb ${service}?`,
            detail: [
                latency ? `Its calls take ${latency} ms longer.` : "",
                error ? `${error} % of its calls fail.` : "",
                `It ends by itself after ${seconds} s.`,
            ].join(" "),
            action: "Disturb it",
            act: async () => {
                const asked: Record<string, unknown> = { for_seconds: Number(seconds) };
                if (latency) asked.latency_ms = Number(latency);
                if (error) asked.error = `${error}%`;
                const { id } = await order<Fault>("POST", `/v1/services/${encodeURIComponent(service)}/faults`, asked);
                return `Fault ${id} of ${service} is active.`;
            },
        });
    return (
        <form class="filters" onSubmit={(event) => (event.preventDefault(), plant())}>
            <h2>Plant a fault</h2>
            <label>
                Service{" "}
                <select required value={service} onChange={(event) => setService(event.currentTarget.value)}>
                    <option value="">choose</option>
                    {services.value?.map(({ name }) => (
                        <option key={name}>{name}</option>
                    ))}
                </select>
            </label>
            <label>
                Latency{" "}
                <input
                    type="number"
                    min="1"
                    value={latency}
                    onInput={(event) => setLatency(event.currentTarget.value)}
                />{" "}
                ms
            </label>
            <label>
                Errors{" "}
                <input
                    type="number"
                    min="0"
                    max="100"
                    step="any"
                    value={error}
                    onInput={(event) => setError(event.currentTarget.value)}
                />{" "}
                %
            </label>
            <label>
                For{" "}
                <input
                    type="number"
                    required
                    min="1"
                    value={seconds}
                    onInput={(event) => setSeconds(event.currentTarget.value)}
                />{" "}
                s
            </label>
            <button type="submit" disabled={!service || (!latency && !error)}>
                Plant …
            </button>
        </form>
    );
}
