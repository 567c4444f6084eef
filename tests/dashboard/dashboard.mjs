// The dashboard under live traffic: every page in two widths and two themes, without a violation of accessibility and
// without an error of the browser; what the host does is seen without a reload; the main actions by keyboard alone.

import { readFileSync } from "node:fs";
import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { DEADLINE, admin, customers, sameButAnother, trouble } from "./shop.mjs";

const { BROWSER, ADMIN, PICTURES, COMPONENT } = process.env;
const AXE = readFileSync(new URL("./node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
/** Each page, with a text that it shows when it has what there is to show. */
const PAGES = {
  "": "users",
  "services/users": "Endpoints",
  routes: "/api/users/*",
  rollouts: "Evidence against the new one",
  "rollouts/users": "Evidence against the new one",
  events: "has dead letters",
  "events/orders.placed": "Events, the latest first",
  "events/orders.placed/mailer": "an injected fault",
  sagas: "parked",
  schedules: "heartbeat",
  nodes: "no node of a cluster",
  traces: "GET /api/users",
  logs: "a service failed on an event",
  traps: "No guest has failed",
  faults: "mailer",
  changes: "fault-begun",
  audit: "fault-added",
};

const browser = await chromium.launch({ executablePath: BROWSER, args: ["--no-sandbox"] });
/** What the browser reported, what axe found, and pages that do not fit. */
const errors = [];

async function open(width, theme) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: theme, bypassCSP: false });
  const page = await context.newPage();
  page.setDefaultTimeout(DEADLINE);
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(ADMIN)) errors.push(`a request left the admin: ${request.url()}`);
  });
  return page;
}

async function violations(page) {
  // Evaluated by the test itself, so the page's policy does not concern it.
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document));
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`);
}

async function everyPage(saga) {
  const pages = Object.entries({ ...PAGES, [`sagas/${saga}`]: "under-way" });
  for (const width of [400, 1440]) {
    for (const theme of ["light", "dark"]) {
      const page = await open(width, theme);
      for (const [name, text] of pages) {
        await page.goto(`${ADMIN}/#/${name}`);
        const shown = page.locator("main").getByText(text).first();
        await shown.waitFor({ state: "attached" }).catch(() => errors.push(`#/${name} does not show "${text}"`));
        errors.push(...(await violations(page)).map((found) => `#/${name} at ${width}, ${theme}: ${found}`));
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (wide > 0) errors.push(`#/${name} at ${width}: the page itself scrolls sideways by ${wide} pixels`);
        const file = name.replace(saga, "one").replaceAll(/[/.]/g, "-") || "overview";
        await page.screenshot({ path: `${PICTURES}/${file}-${width}-${theme}.png`, fullPage: true });
      }
      await page.context().close();
    }
  }
}

async function liveChanges() {
  const page = await open(1440, "light");
  await page.goto(`${ADMIN}/#/`);
  const row = page.getByRole("table", { name: "Services" }).getByRole("row", { name: /users/ });
  await row.getByText("serves", { exact: true }).waitFor();
  await page.waitForFunction(() => {
    const tables = [...document.querySelectorAll("table")].map((table) => table.textContent);
    return /[1-9][0-9.]*k?\/s/.test(tables.join());
  });

  // What is wrong is there without a click: cause, service and revision, and what the operator changed.
  const wrong = page.getByRole("region", { name: "What is wrong" });
  const { revision: failing } = await admin("GET", "/v1/services/mailer");
  const cause = wrong.getByRole("listitem").filter({ hasText: "fault-on-purpose in mailer" });
  await cause.filter({ hasText: `revision ${failing}` }).first().waitFor();
  await admin("POST", "/v1/services/users/breaker", { order: "open" });
  await row.getByText("circuit open").waitFor();
  await wrong.getByRole("listitem").filter({ hasText: "out-of-service in users" }).first().waitFor();
  await wrong.getByRole("row", { name: /circuit-ordered/ }).first().waitFor();
  await admin("POST", "/v1/services/users/breaker", { order: "reset" });
  await row.getByText("serves", { exact: true }).waitFor();

  const component = sameButAnother(readFileSync(COMPONENT), 2);
  const { revision } = await admin("POST", "/v1/services/users/rollouts?now=true", component);
  await row.getByText(revision).waitFor();
  await page.context().close();
}

/** Goes to the button by Tab, and presses it. */
async function press(page, button) {
  await page.getByRole("button", { name: button, exact: true }).last().waitFor();
  for (let step = 0; step < 120; step++) {
    await page.keyboard.press("Tab");
    const focused = await page.evaluate(() => {
      const at = document.activeElement;
      return at?.tagName === "BUTTON" ? (at.ariaLabel ?? at.textContent?.trim()) : null;
    });
    if (focused === button) return page.keyboard.press("Enter");
  }
  throw new Error(`Tab does not reach "${button}"`);
}

/** Answers the question that an action asks first. */
async function confirm(page, button) {
  await page.getByRole("dialog").waitFor();
  await press(page, button);
  await page.getByRole("dialog").waitFor({ state: "detached" });
}

async function byKeyboardAlone(saga) {
  const page = await open(1440, "dark");
  await page.goto(`${ADMIN}/#/services/users`);
  await press(page, "open");
  await confirm(page, "open it");
  await page.getByText("circuit open").first().waitFor();
  await press(page, "reset");
  await confirm(page, "reset it");
  await page.getByText("Circuit of users-0: reset.", { exact: false }).waitFor();
  await press(page, "Roll back");
  await confirm(page, "Roll back");
  await page.getByText(/serves revision [0-9a-f]+ again/).waitFor();
  // Escape leaves a question without an answer.
  await press(page, "open");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });

  await mendTrouble(page, saga);
  await page.context().close();
}

/** The causes are taken away; the dead letters are sent again, and the parked saga ends. */
async function mendTrouble(page, saga) {
  await page.goto(`${ADMIN}/#/faults`);
  for (const service of ["mailer", "payments"]) {
    const row = page.getByRole("row", { name: service });
    await row.getByRole("button").focus();
    await page.keyboard.press("Enter");
    await confirm(page, "Clear");
    await row.waitFor({ state: "detached" });
  }
  await page.goto(`${ADMIN}/#/events/orders.placed/mailer`);
  await press(page, "Send again: 2");
  await confirm(page, "Send again");
  await page.getByText("1 dead letter of mailer sent again. Others are still there.").waitFor();
  await press(page, "Send all again …");
  await confirm(page, "Send again");
  await page.getByText("1 dead letter of mailer sent again. No dead letter is left.").waitFor();
  await page.getByText("Every event was handled").waitFor();

  await page.goto(`${ADMIN}/#/sagas/${saga}`);
  await press(page, "Retry …");
  await confirm(page, "Retry");
  await page.getByText(`Saga ${saga} is`).waitFor();
  await page.locator("h1").getByText("compensated").waitFor();
  await page.goto(`${ADMIN}/#/audit?on=${saga}`);
  await page.getByRole("cell", { name: saga }).first().waitFor();
}

/** A canary gets its share, is seen beside the stable revision, and is promoted; what it replaced comes back. */
async function rolloutByKeyboard() {
  const page = await open(1440, "light");
  await page.goto(`${ADMIN}/#/rollouts/users`);
  const old = (await admin("GET", "/v1/services/users")).revision;
  await press(page, "Promote …");
  await confirm(page, "Promote");
  await page.getByText(/users serves revision [0-9a-f]+\./).waitFor();
  await page.getByText("promoted").first().waitFor();
  assert.notEqual((await admin("GET", "/v1/services/users")).revision, old);
  await page.context().close();
}

let traffic = true;
try {
  const shopping = customers(() => traffic);
  const saga = await trouble();
  const component = sameButAnother(readFileSync(COMPONENT), 1);
  await admin("POST", "/v1/services/users/rollouts?canary=25%25&hold=true&why=faster", component);
  await everyPage(saga);
  await rolloutByKeyboard();
  await liveChanges();
  await byKeyboardAlone(saga);
  traffic = false;
  await shopping;
  assert.deepEqual(errors, []);
} finally {
  traffic = false;
  await browser.close();
}
