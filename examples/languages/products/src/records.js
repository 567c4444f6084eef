// Records, ids and keys, as the component in Rust stores them: each of the two can be swapped for the other, with its
// data.
//
// A u64 is a BigInt here. JSON has it as a bare number, which `JSON.parse` would round; so ids are put between quotes
// before it reads, and taken out of them after `JSON.stringify`.

import { get } from "wasi:config/store@0.2.0-rc.1";
import { answered, internal, invalid, unavailable } from "./failures.js";
import { random32 } from "./store.js";

export const MAX_RECORDS = 100;
/** 2026-01-01T00:00:00Z: a start later than 1970 leaves room for more years in the same bits. */
const EPOCH = 1_767_225_600_000;
const PREFIX = "product/";

/** A new id: above 0, below 2^63, and greater than all ids made in earlier milliseconds. */
export function newId() {
  const time = BigInt(Math.max(0, Date.now() - EPOCH)) << 20n;
  const id = BigInt.asUintN(63, time | BigInt(random32() >>> 12));
  return id === 0n ? 1n : id;
}

export const productKey = (id) => PREFIX + id.toString().padStart(20, "0");
export const skuKey = (sku) => `sku/${sku}`;
export const reservationKey = (key) => `reservation/${key}`;
export const idOf = (key) => BigInt(key.slice(PREFIX.length));
export { PREFIX };

/** A stored product with its id, as the contract has it. */
export function product(id, json) {
  const { sku, name, amount, currency, stock } = JSON.parse(json);
  return { id, sku, name, price: { amount: BigInt(amount), currency }, stock };
}

/** A product as it is stored. Its id is part of its key; an amount is at most 2^53 - 1, which JSON carries. */
export function stored({ sku, name, price, stock }) {
  return JSON.stringify({ sku, name, amount: Number(price.amount), currency: price.currency, stock });
}

/** What a key has taken, or `null` if it was released. */
export function taken(json) {
  const reservation = JSON.parse(json.replace(/([{,])"product":(\d+)/g, '$1"product":"$2"'));
  if (reservation === "Released") {
    return null;
  }
  return reservation.Held.map((line) => ({ ...line, product: BigInt(line.product) }));
}

/** A reservation of these lines as it is stored. */
export function held(lines) {
  const json = JSON.stringify({ Held: lines.map((line) => ({ ...line, product: line.product.toString() })) });
  return json.replace(/([{,])"product":"(\d+)"/g, '$1"product":$2');
}

export const RELEASED = JSON.stringify("Released");

/** How many records a page has if nobody says: the setting `page_size`. */
export function pageSize() {
  let setting;
  try {
    setting = get("page_size");
  } catch (thrown) {
    throw unavailable(answered(thrown).val);
  }
  const size = Number(setting ?? 50);
  if (!Number.isInteger(size) || size < 1 || size > MAX_RECORDS) {
    throw internal(`the setting page_size must be 1 to ${MAX_RECORDS}, and is ${JSON.stringify(setting)}`);
  }
  return size;
}

/** The id in a cursor. */
export function readCursor(cursor) {
  if (!/^\d{1,20}$/.test(cursor) || BigInt(cursor) > 2n ** 64n - 1n) {
    throw invalid([{ pointer: "/cursor", detail: "is not a cursor of this list" }]);
  }
  return BigInt(cursor);
}
