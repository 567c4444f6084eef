// What happens in the shop while the dashboard is looked at: customers, and what they meet.

import assert from "node:assert/strict";

const { GATEWAY, ADMIN } = process.env;

/** How long the host may take for what the test waits for, in milliseconds. */
export const DEADLINE = 15_000;

async function send(base, method, path, body, headers = {}) {
  const binary = body instanceof Uint8Array;
  const type = binary ? "application/wasm" : "application/json";
  const answer = await fetch(`${base}${path}`, {
    method,
    headers: { "content-type": type, ...headers },
    ...(body === undefined ? {} : { body: binary ? body : JSON.stringify(body) }),
  });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
  return JSON.parse(text);
}

export const admin = (method, path, body) => send(ADMIN, method, path, body);
const shop = (method, path, body, headers) => send(GATEWAY, method, path, body, headers);

/** Asks until the answer is as wanted. */
export async function until(what, ask, wanted) {
  const end = Date.now() + DEADLINE;
  for (;;) {
    const answer = await ask();
    if (wanted(answer)) return answer;
    assert.ok(Date.now() < end, `${what}: ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Requests for as long as the test runs. */
export async function customers(goesOn) {
  while (goesOn()) {
    await fetch(`${GATEWAY}/api/users?limit=2`).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/**
 * Mails that cannot be sent, so that they are dead letters; a checkout that is done; and one whose payment can neither
 * be taken nor given back, so that it is parked. Returns the id of that one.
 */
export async function trouble() {
  const user = await shop("POST", "/api/users", { name: "Ann", email: "ann@example.com" });
  const price = { amount: 120, currency: "EUR" };
  const pen = await shop("POST", "/api/products", { sku: "pen", name: "Pen", price, stock: 1000 });
  const wish = { user: user.id, lines: [{ product: pen.id, quantity: 1 }] };
  await shop("POST", "/api/checkout", wish, { "idempotency-key": "done" });
  await shop("POST", "/api/orders", wish, { "idempotency-key": "mailed" });

  for (const service of ["mailer", "payments"]) await admin("POST", `/v1/services/${service}/faults`, { trap: "100%" });
  for (const key of ["dead-1", "dead-2"]) await shop("POST", "/api/orders", wish, { "idempotency-key": key });
  const { id } = await shop("POST", "/api/checkout", wish, { "idempotency-key": "parked" });
  await until("the saga is parked", () => admin("GET", `/v1/sagas/${id}`), (saga) => saga.state === "parked");
  const dead = (topics) => topics.find(({ name }) => name === "orders.placed").subscriptions[0].dead;
  await until("the mails are dead letters", () => admin("GET", "/v1/topics"), (topics) => dead(topics) === 2);
  return id;
}

/** A component that differs from `bytes` by a custom section alone: id 0, a size, a name, bytes. */
export function sameButAnother(bytes, mark) {
  const section = [0, 7, 4, ..."note".split("").map((letter) => letter.charCodeAt(0)), 1, mark];
  return new Uint8Array([...bytes, ...section]);
}
