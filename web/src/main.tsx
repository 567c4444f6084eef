// The dashboard of Atoll: one document, one reading of the host a second, and pages that show it.

import { render } from "preact";
import "./style.css";
import { follow } from "./live";
import { Changes } from "./pages/changes";
import { Faults } from "./pages/faults";
import { Logs } from "./pages/logs";
import { Overview } from "./pages/overview";
import { Routes } from "./pages/routes";
import { ServicePage } from "./pages/service";
import { TracePage, Traces } from "./pages/traces";
import { Traps } from "./pages/traps";
import { location } from "./routing";
import { Shell } from "./shell";

function Page() {
    const [page, name] = location.value.path;
    switch (page) {
        case undefined:
            return <Overview />;
        case "services":
            return name === undefined ? <Overview /> : <ServicePage key={name} name={name} />;
        case "routes":
            return <Routes />;
        case "traces":
            return name === undefined ? <Traces /> : <TracePage key={name} id={name} />;
        case "logs":
            return <Logs />;
        case "traps":
            return <Traps />;
        case "faults":
            return <Faults />;
        case "changes":
            return <Changes />;
        default:
            return <p>There is no page `{page}`.</p>;
    }
}

const root = document.getElementById("app");
if (root) {
    render(
        <Shell>
            <Page />
        </Shell>,
        root,
    );
}
follow();
