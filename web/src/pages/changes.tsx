// What changed in the host, newest first.

import type { Change } from "../api/types";
import { useResource } from "../parts/resource";
import { Empty, Table } from "../parts/table";
import { clock } from "../format";
import { link } from "../routing";

export function Changes() {
    const changes = useResource<Change[]>("/v1/changes");
    return (
        <>
            <h1>Changes</h1>
            {changes.error && !changes.absent && <p class="bad">{changes.error}</p>}
            <Table caption="Changes" head={["When", "What", "Where", "Why", "By"]}>
                <ChangeRows changes={changes.value ?? []} />
            </Table>
        </>
    );
}

export function ChangeRows({ changes }: { changes: Change[] }) {
    if (changes.length === 0) return <Empty columns={5}>Nothing has changed since the host started.</Empty>;
    return (
        <>
            {changes.map((change) => (
                <tr key={change.id}>
                    <td class="when">{clock(change.time)}</td>
                    <th scope="row">{change.kind}</th>
                    <td>
                        {change.service ? (
                            <a href={link(["services", change.service])}>{change.endpoint ?? change.service}</a>
                        ) : (
                            "host"
                        )}
                    </td>
                    <td>{change.reason}</td>
                    <td>{change.by ?? "the host"}</td>
                </tr>
            ))}
        </>
    );
}
