// The log that the host keeps in memory.

import type { LogLine } from "../api/types";
import { useResource } from "../parts/resource";
import { Badge, type Tone } from "../parts/badge";
import { Empty, Table } from "../parts/table";
import { clock } from "../format";
import { services } from "../live";
import { location, refine } from "../routing";

const TONE: Record<string, Tone> = { error: "bad", warn: "warn", info: "plain" };

export function Logs() {
    const query = location.value.query;
    const asked = new URLSearchParams();
    for (const name of ["service", "level", "trace"]) {
        const value = query.get(name);
        if (value) asked.set(name, value);
    }
    const log = useResource<{ lines: LogLine[] }>(`/v1/logs?${asked}`);
    const lines = log.value?.lines ?? [];
    return (
        <>
            <h1>Log</h1>
            <form class="filters" onSubmit={(event) => event.preventDefault()}>
                <label>
                    Service{" "}
                    <select
                        value={query.get("service") ?? ""}
                        onChange={(event) => refine({ service: event.currentTarget.value })}
                    >
                        <option value="">all</option>
                        {services.value?.map(({ name }) => (
                            <option key={name}>{name}</option>
                        ))}
                    </select>
                </label>
                <label>
                    Level{" "}
                    <select
                        value={query.get("level") ?? ""}
                        onChange={(event) => refine({ level: event.currentTarget.value })}
                    >
                        {["", "error", "warn", "info", "debug"].map((level) => (
                            <option key={level} value={level}>
                                {level ? `${level} and worse` : "all"}
                            </option>
                        ))}
                    </select>
                </label>
                <label>
                    Trace or request{" "}
                    <input
                        value={query.get("trace") ?? ""}
                        onChange={(event) => refine({ trace: event.currentTarget.value.trim() })}
                    />
                </label>
            </form>
            {log.error && <p class="bad">{log.error}</p>}
            <Table caption="Lines, the newest first" head={["When", "Level", "Service", "Text"]}>
                {lines.length === 0 && <Empty columns={4}>No line that fits is kept.</Empty>}
                {[...lines].reverse().map((line) => (
                    <tr key={line.id}>
                        <td class="when">{clock(line.time)}</td>
                        <td>
                            <Badge tone={TONE[line.level.toLowerCase()] ?? "plain"}>{line.level}</Badge>
                        </td>
                        <td>{line.service ?? line.target}</td>
                        <td class="line">
                            {[
                                line.text,
                                ...Object.entries(line.fields).map(([name, value]) => `${name}=${String(value)}`),
                            ].join("  ")}
                        </td>
                    </tr>
                ))}
            </Table>
        </>
    );
}
