// Every route in the order of the manifest, and who is let in.

import type { Route } from "../api/types";
import { useResource } from "../parts/resource";
import { Empty, Table } from "../parts/table";
import { link } from "../routing";

export function Routes() {
    const routes = useResource<Route[]>("/v1/routes");
    return (
        <>
            <h1>Routes</h1>
            {routes.error && <p class="bad">{routes.error}</p>}
            <Table
                caption="Routes"
                head={["Matches", "Service", "Answers", "Path becomes", "Who is let in", "Scopes"]}
            >
                {routes.value?.length === 0 && <Empty columns={6}>The manifest has no route.</Empty>}
                {routes.value?.map((route) => (
                    <tr key={`${route.matches} ${route.service}`}>
                        <th scope="row">
                            <code>{route.matches}</code>
                        </th>
                        <td>
                            {route.service ? (
                                <a href={link(["services", route.service])}>{route.service}</a>
                            ) : (
                                "the gateway"
                            )}
                        </td>
                        <td>{route.call ?? route.answer ?? "HTTP"}</td>
                        <td>{route.rewrite ?? "–"}</td>
                        <td>{route.auth ? route.auth.join(", ") : "everybody"}</td>
                        <td>
                            {route.left_out ? (
                                <span class="bad">{route.left_out}</span>
                            ) : (
                                route.scopes.join(", ") || "–"
                            )}
                        </td>
                    </tr>
                ))}
            </Table>
        </>
    );
}
