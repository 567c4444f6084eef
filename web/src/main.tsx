// The dashboard of Atoll: one document, one reading of the host a second, and pages that show it.

import { render } from "preact";
import "./style.css";
import { follow } from "./live";
import { Audit } from "./pages/audit";
import { Changes } from "./pages/changes";
import { DeadLetters, Events, TopicPage } from "./pages/events";
import { Faults } from "./pages/faults";
import { Logs } from "./pages/logs";
import { Nodes } from "./pages/nodes";
import { Overview } from "./pages/overview";
import { RolloutPage, Rollouts } from "./pages/rollouts";
import { Routes } from "./pages/routes";
import { SagaPage, Sagas } from "./pages/sagas";
import { Schedules } from "./pages/schedules";
import { ServicePage } from "./pages/service";
import { TracePage, Traces } from "./pages/traces";
import { Traps } from "./pages/traps";
import { location } from "./routing";
import { Shell } from "./shell";

function Page() {
    const [page, name, below] = location.value.path;
    switch (page) {
        case undefined:
            return <Overview />;
        case "services":
            return name === undefined ? <Overview /> : <ServicePage key={name} name={name} />;
        case "routes":
            return <Routes />;
        case "rollouts":
            return name === undefined ? <Rollouts /> : <RolloutPage key={name} name={name} />;
        case "events":
            if (name === undefined) return <Events />;
            if (below === undefined) return <TopicPage key={name} name={name} />;
            return <DeadLetters key={`${name}/${below}`} topic={name} service={below} />;
        case "sagas":
            return name === undefined ? <Sagas /> : <SagaPage key={name} id={name} />;
        case "schedules":
            return <Schedules />;
        case "traces":
            return name === undefined ? <Traces /> : <TracePage key={name} id={name} />;
        case "logs":
            return <Logs />;
        case "traps":
            return <Traps />;
        case "faults":
            return <Faults />;
        case "nodes":
            return <Nodes />;
        case "changes":
            return <Changes />;
        case "audit":
            return <Audit />;
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
