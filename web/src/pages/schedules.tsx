// Schedules: when each is due, and how its last try ended.

import type { Schedule } from "../api/types";
import { Badge } from "../parts/badge";
import { useResource } from "../parts/resource";
import { Empty, Table } from "../parts/table";
import { age, clock } from "../format";

const HEAD = ["Schedule", "When", "Does", "Next", "Last", "Done", "Failed tries", "Given up", "Skipped"];

export function Schedules() {
    const schedules = useResource<Schedule[]>("/v1/schedules");
    return (
        <>
            <h1>Schedules</h1>
            {schedules.error && <p class="bad">{schedules.error}</p>}
            <Table caption="Schedules" head={HEAD}>
                {schedules.value?.length === 0 && <Empty columns={9}>The manifest names no schedule.</Empty>}
                {schedules.value?.map((schedule) => (
                    <tr key={schedule.name}>
                        <th scope="row">{schedule.name}</th>
                        <td>
                            <code>{schedule.when}</code>
                        </td>
                        <td>
                            <code>{schedule.target}</code>
                        </td>
                        <td>{next(schedule)}</td>
                        <td>{schedule.last ? <Last of={schedule.last} /> : "–"}</td>
                        <td class="number">{schedule.done}</td>
                        <td class="number">{schedule.failures}</td>
                        <td class="number">{schedule.given_up}</td>
                        <td class="number">{schedule.skipped}</td>
                    </tr>
                ))}
            </Table>
        </>
    );
}

function next(schedule: Schedule): string {
    if (schedule.under_way !== null) return `under way since ${clock(schedule.under_way)}`;
    if (schedule.next === null) return "–";
    return `in ${age(Math.max(0, (schedule.next - Date.now()) / 1000))}, ${clock(schedule.next)}`;
}

function Last({ of }: { of: NonNullable<Schedule["last"]> }) {
    return (
        <>
            <Badge tone={of.error ? "bad" : "good"}>{of.error ? "failed" : "done"}</Badge> {clock(of.at)}
            {of.error && <div class="line">{of.error}</div>}
        </>
    );
}
