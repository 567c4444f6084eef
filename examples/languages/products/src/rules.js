// Which values a product, the key of a reservation and its lines may have.

import { isCurrency } from "./currencies.js";
import { invalid } from "./failures.js";

/** The greatest stock that a caller may set. The rest of `u32` is room for what releases give back on top of it. */
const MAX_STOCK = 1_000_000_000;
export const MAX_U32 = 2 ** 32 - 1;
const MAX_NAME = 200;
const MAX_SKU = 64;
const MAX_KEY = 255;
/** Of a key from outside, to which a prefix is added. */
const MAX_OUTSIDE_KEY = 200;
const MAX_LINES = 100;

// The engine has no properties of Unicode in regular expressions (`\p{Cc}`).
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const SKU = new RegExp(`^[A-Za-z0-9._-]{1,${MAX_SKU}}$`);

function isName(name) {
  const characters = [...name].length;
  return characters >= 1 && characters <= MAX_NAME && !CONTROL.test(name);
}

function refuse(errors) {
  if (errors.length > 0) {
    throw invalid(errors);
  }
}

/** The changes as they are stored. Throws `invalid` with every given field that breaks a rule. */
export function accepted(changes) {
  const { sku, price = {}, stock } = changes;
  const name = changes.name?.trim();
  const errors = [];
  const check = (value, pointer, holds, detail) => {
    if (value !== undefined && !holds(value)) {
      errors.push({ pointer, detail });
    }
  };
  check(sku, "/sku", (sku) => SKU.test(sku), `must be 1 to ${MAX_SKU} of A-Z, a-z, 0-9, '.', '_' and '-'`);
  check(name, "/name", isName, `must be 1 to ${MAX_NAME} characters, and no control characters`);
  const most = Number.MAX_SAFE_INTEGER; // the greatest whole number that JSON carries exactly
  const amount = `must be a whole number from 0 to ${most}`;
  check(price.amount, "/price/amount", (amount) => amount <= BigInt(most), amount);
  check(price.currency, "/price/currency", isCurrency, "must be a currency of ISO 4217 in capitals");
  check(stock, "/stock", (stock) => stock <= MAX_STOCK, `must be a whole number from 0 to ${MAX_STOCK}`);
  refuse(errors);
  return { ...changes, name };
}

function keyErrors(key, longest) {
  const good = /^[!-~]+$/.test(key) && key.length <= longest;
  return good ? [] : [{ pointer: "/key", detail: `must be 1 to ${longest} visible ASCII characters` }];
}

/** Refuses a key that is not 1 to 255 visible ASCII characters. */
export function checkKey(key) {
  refuse(keyErrors(key, MAX_KEY));
}

/** Refuses a key or a quantity that a caller from outside may not use. */
export function checkOutside(key, quantity) {
  const few = quantity === 0 ? [{ pointer: "/quantity", detail: "must be at least 1" }] : [];
  refuse([...keyErrors(key, MAX_OUTSIDE_KEY), ...few]);
}

/** Refuses lines with every one that breaks a rule. */
export function checkLines(lines) {
  if (lines.length < 1 || lines.length > MAX_LINES) {
    refuse([{ pointer: "/lines", detail: `must be 1 to ${MAX_LINES} lines` }]);
  }
  const seen = new Set();
  const errors = [];
  lines.forEach(({ product, quantity }, at) => {
    if (quantity === 0) {
      errors.push({ pointer: `/lines/${at}/quantity`, detail: "must be at least 1" });
    }
    if (seen.has(product)) {
      errors.push({ pointer: `/lines/${at}/product`, detail: "must not be the product of another line" });
    }
    seen.add(product);
  });
  refuse(errors);
}
