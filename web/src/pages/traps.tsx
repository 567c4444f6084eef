// How guests failed, grouped by where it happened.

import type { TrapReport } from "../api/types";
import { useResource } from "../parts/resource";
import { clock, count } from "../format";
import { link } from "../routing";

export function Traps() {
    const traps = useResource<TrapReport[]>("/v1/traps");
    return (
        <>
            <h1>Traps</h1>
            {traps.error && !traps.absent && <p class="bad">{traps.error}</p>}
            <TrapList reports={traps.value ?? []} absent={traps.absent} />
        </>
    );
}

export function TrapList({ reports, absent }: { reports: TrapReport[]; absent: boolean }) {
    if (absent) return <p>This host keeps no trap reports.</p>;
    if (reports.length === 0) return <p>No guest has failed since the host started.</p>;
    return (
        <>
            {reports.map((report) => (
                <details key={report.id} class="trap">
                    <summary>
                        <strong>{report.kind}</strong> in{" "}
                        <a href={link(["services", report.service])}>{report.service}</a>, {count(report.count, "time")}
                        , last at {clock(report.last)}: {report.cause}
                    </summary>
                    <p>
                        Revision <code>{report.revision}</code>, first at {clock(report.first)}
                        {report.request && `, by ${report.request.method} ${report.request.route}`}. Latest request{" "}
                        <code>{report.request_id}</code>.
                    </p>
                    {report.frames.length > 0 && <pre>{report.frames.join("\n")}</pre>}
                    {report.error_output && <pre>{report.error_output}</pre>}
                </details>
            ))}
        </>
    );
}
