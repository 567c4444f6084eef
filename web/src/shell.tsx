// The frame of every page: navigation, the state of the connection, the theme, the token.

import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { forgetToken, giveToken, hasToken, tokenMissing } from "./api/client";
import { ActionDialog, Notice } from "./parts/dialog";
import { clock } from "./format";
import { newest, offline, paused } from "./live";
import { link, location } from "./routing";

const PAGES: [string, string][] = [
    ["", "Overview"],
    ["routes", "Routes"],
    ["rollouts", "Rollouts"],
    ["events", "Events"],
    ["sagas", "Sagas"],
    ["schedules", "Schedules"],
    ["traces", "Traces"],
    ["logs", "Log"],
    ["traps", "Traps"],
    ["faults", "Faults"],
    ["nodes", "Nodes"],
    ["changes", "Changes"],
    ["audit", "Audit"],
];

type Theme = "auto" | "light" | "dark";
const theme = signal((localStorage.getItem("atoll-theme") as Theme | null) ?? "auto");

function choose(chosen: Theme): void {
    theme.value = chosen;
    localStorage.setItem("atoll-theme", chosen);
}

export function Shell({ children }: { children: ComponentChildren }) {
    document.documentElement.dataset.theme = theme.value;
    const [page = ""] = location.value.path;
    const current = page === "services" ? "" : page;
    return (
        <>
            <a
                class="skip"
                href="#main"
                onClick={(event) => (event.preventDefault(), document.getElementById("main")?.focus())}
            >
                Skip to content
            </a>
            <header>
                <a class="brand" href={link([])}>
                    Atoll
                </a>
                <nav aria-label="Pages">
                    {PAGES.map(([name, title]) => (
                        <a
                            key={name}
                            href={link(name ? [name] : [])}
                            aria-current={name === current ? "page" : undefined}
                        >
                            {title}
                        </a>
                    ))}
                </nav>
                <div class="tools">
                    <button type="button" aria-pressed={paused.value} onClick={() => (paused.value = !paused.value)}>
                        {paused.value ? "Go on" : "Pause"}
                    </button>
                    <label>
                        <span class="spoken">Theme</span>
                        <select value={theme.value} onChange={(event) => choose(event.currentTarget.value as Theme)}>
                            <option value="auto">system</option>
                            <option value="light">light</option>
                            <option value="dark">dark</option>
                        </select>
                    </label>
                    {hasToken() && (
                        <button type="button" onClick={() => (forgetToken(), window.location.reload())}>
                            Forget token
                        </button>
                    )}
                </div>
            </header>
            {newest.value && (
                <p class="banner newest" role="status">
                    {clock(newest.value.time)}: {newest.value.kind} {newest.value.endpoint ?? newest.value.service}
                    {newest.value.reason && `, ${newest.value.reason}`} (by {newest.value.by ?? "the host"}){" "}
                    <button type="button" onClick={() => (newest.value = null)}>
                        Close
                    </button>
                </p>
            )}
            {offline.value && !tokenMissing.value && (
                <p class="banner bad" role="alert">
                    {offline.value}. What you see is old; the page tries again each second.
                </p>
            )}
            <Notice />
            <main id="main" tabIndex={-1}>
                {tokenMissing.value ? <TokenForm /> : children}
            </main>
            <ActionDialog />
        </>
    );
}

function TokenForm() {
    const give = (form: HTMLFormElement) => giveToken(String(new FormData(form).get("token")));
    return (
        <form class="token" onSubmit={(event) => (event.preventDefault(), give(event.currentTarget))}>
            <h1>The admin demands its token</h1>
            <label>
                Token (the value of <code>ATOLL_ADMIN_TOKEN</code>){" "}
                <input type="password" name="token" autocomplete="off" required />
            </label>
            <button type="submit" class="primary">
                Go on
            </button>
            <p>This tab keeps it until it is closed.</p>
        </form>
    );
}
