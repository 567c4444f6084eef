// The dashboard under live traffic: every page in two widths and two themes, without a violation of accessibility and
// without an error of the browser; what the host does is seen without a reload; the main actions by keyboard alone.

import { readFileSync } from "node:fs";
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const { BROWSER, GATEWAY, ADMIN, PICTURES, COMPONENT } = process.env;
const AXE = readFileSync(new URL("./node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const PAGES = ["", "services/users", "routes", "traces", "logs", "traps", "faults", "changes"];
/** How long a page may take to show what the host did, in milliseconds. */
const DEADLINE = 15_000;

const browser = await chromium.launch({ executablePath: BROWSER, args: ["--no-sandbox"] });
/** What the browser reported, what axe found, and pages that do not fit. */
const errors = [];

async function open(width, theme) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: theme, bypassCSP: false });
  const page = await context.newPage();
  page.setDefaultTimeout(DEADLINE);
  page.on("console", (message) => {
    // A resource that the manifest does not switch on answers 404, which the browser reports.
    if (message.type() === "error" && !message.text().includes("404")) errors.push(message.text());
  });
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(ADMIN)) errors.push(`a request left the admin: ${request.url()}`);
  });
  return page;
}

/** Requests to the shop for as long as the test runs. */
let traffic = true;
async function customers() {
  while (traffic) {
    await fetch(`${GATEWAY}/api/users?limit=2`).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function violations(page) {
  // Evaluated by the test itself, so the page's policy does not concern it.
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document));
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`);
}

async function everyPage() {
  for (const width of [400, 1440]) {
    for (const theme of ["light", "dark"]) {
      const page = await open(width, theme);
      for (const name of PAGES) {
        await page.goto(`${ADMIN}/#/${name}`);
        await page.getByRole("heading", { level: 1 }).waitFor();
        await page.waitForTimeout(300); // a picture with data; nothing depends on it
        errors.push(...(await violations(page)).map((found) => `#/${name} at ${width}, ${theme}: ${found}`));
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (wide > 0) errors.push(`#/${name} at ${width}: the page itself scrolls sideways by ${wide} pixels`);
        await page.screenshot({ path: `${PICTURES}/${name.replace("/", "-") || "overview"}-${width}-${theme}.png` });
      }
      await page.context().close();
    }
  }
}

async function admin(method, path, body) {
  const headers = { "content-type": body instanceof Uint8Array ? "application/wasm" : "application/json" };
  const answer = await fetch(`${ADMIN}${path}`, { method, body: body instanceof Uint8Array ? body : JSON.stringify(body), headers });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${await answer.clone().text()}`);
  return answer.json();
}

/** A component that differs from the running one by a custom section alone: id 0, a size, a name, bytes. */
function sameButAnother(bytes) {
  const section = [0, 7, 4, ..."note".split("").map((letter) => letter.charCodeAt(0)), 1, 2];
  return new Uint8Array([...bytes, ...section]);
}

async function liveChanges() {
  const page = await open(1440, "light");
  await page.goto(`${ADMIN}/#/`);
  const row = page.getByRole("row", { name: /users/ });
  await row.getByText("serves", { exact: true }).waitFor();
  await page.waitForFunction(() => /[1-9][0-9.]*k?\/s/.test(document.querySelector("table")?.textContent ?? ""));

  await admin("POST", "/v1/services/users/breaker", { order: "open" });
  await row.getByText("circuit open").waitFor();
  await admin("POST", "/v1/services/users/breaker", { order: "reset" });
  await row.getByText("serves", { exact: true }).waitFor();

  const { revision } = await admin("POST", "/v1/services/users/swap", sameButAnother(readFileSync(COMPONENT)));
  await row.getByText(revision).waitFor();
  await page.context().close();
}

async function byKeyboardAlone() {
  const page = await open(1440, "dark");
  await page.goto(`${ADMIN}/#/services/users`);
  const press = async (button) => {
    await page.getByRole("button", { name: button, exact: true }).first().waitFor();
    for (let step = 0; step < 80; step++) {
      await page.keyboard.press("Tab");
      const focused = await page.evaluate(() => document.activeElement?.textContent?.trim());
      if (focused === button) return page.keyboard.press("Enter");
    }
    throw new Error(`Tab does not reach "${button}"`);
  };
  await press("open");
  await press("open it");
  await page.getByText("circuit open").first().waitFor();
  await press("reset");
  await press("reset it");
  await page.getByText("Circuit of users-0: reset.", { exact: false }).waitFor();
  await press("Roll back");
  await press("Roll back");
  await page.getByText(/serves revision [0-9a-f]+ again/).waitFor();
  // Escape leaves a question without an answer.
  await press("open");
  await page.keyboard.press("Escape");
  assert.equal(await page.getByRole("dialog").count(), 0);
  await page.context().close();
}

try {
  const shopping = customers();
  await everyPage();
  await liveChanges();
  await byKeyboardAlone();
  traffic = false;
  await shopping;
  assert.deepEqual(errors, []);
} finally {
  traffic = false;
  await browser.close();
}
