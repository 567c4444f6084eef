// One thing that is wrong: what, where, in which revision, and what to do next.

import type { Cause } from "../api/types";
import { link } from "../routing";

export function CauseItem({ cause }: { cause: Cause }) {
    return (
        <li>
            <strong>{cause.cause}</strong> in{" "}
            {cause.path.map((name, at) => (
                <span key={at}>
                    {at > 0 && " → "}
                    {name.includes("/") ? name : <a href={link(["services", name])}>{name}</a>}
                </span>
            ))}
            {cause.revision && (
                <>
                    , revision <code>{cause.revision}</code>
                </>
            )}
            : {cause.detail} Next: <code>{cause.next}</code>
            {cause.needs !== null && `, which needs ${cause.needs}`}
        </li>
    );
}
