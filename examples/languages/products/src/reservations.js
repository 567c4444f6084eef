// Reservations: stock that is taken for an order under a key, and given back.
//
// The state of a key only moves forward: unused, held, released. It may also go from unused directly to released, so
// that a `reserve` which was delayed and arrives after its `release` takes nothing. What a key took is stored with it.

import { conflict, notFound } from "./failures.js";
import { held, product, productKey, RELEASED, reservationKey, stored, taken } from "./records.js";
import { checkKey, checkLines, checkOutside, MAX_U32 } from "./rules.js";
import { transact } from "./store.js";

/** Takes the quantities of all lines under this key, or of no line. */
export async function reserve(name, lines) {
  checkKey(name);
  checkLines(lines);
  const key = reservationKey(name);
  return transact((transaction) => {
    // One snapshot of the key and the products: with two reads, the same call committed between them would look like
    // products that are sold out.
    const [reservation, ...products] = transaction.read(key, ...lines.map((line) => productKey(line.product)));
    if (reservation) {
      return repeated(taken(reservation), lines);
    }
    const all = lines.map((line, at) => take(transaction, line, products[at]));
    transaction.put(key, held(all));
    return repeated(all, lines);
  });
}

/** For a caller from outside: its keys get a prefix, so that they never equal the key of a service. */
export async function reserveOne(id, key, quantity) {
  checkOutside(key, quantity);
  const [{ sku, name, price, stock }] = await reserve(`http/${key}`, [{ product: id, quantity }]);
  return { id, sku, name, price, stock, quantity };
}

/** Gives back, once, what was taken under this key. */
export async function release(name) {
  checkKey(name);
  const key = reservationKey(name);
  return transact((transaction) => {
    const [reservation] = transaction.read(key);
    const lines = reservation ? taken(reservation) : [];
    if (lines === null) {
      return;
    }
    const keys = lines.map((line) => productKey(line.product));
    transaction.read(...keys).forEach((json, at) => {
      if (!json) {
        return; // removed meanwhile: no stock to which the pieces could return
      }
      const { product: id, quantity } = lines[at];
      const found = product(id, json);
      if (found.stock + quantity > MAX_U32) {
        throw conflict(`${quantity} of ${found.sku} are given back and its stock of ${found.stock} has no room`);
      }
      transaction.put(keys[at], stored({ ...found, stock: found.stock + quantity }));
    });
    transaction.put(key, RELEASED);
  });
}

/** Takes the quantity of one line within the transaction. */
function take(transaction, { product: id, quantity }, json) {
  if (!json) {
    throw notFound();
  }
  const found = product(id, json);
  const stock = found.stock - quantity;
  if (stock < 0) {
    throw conflict(`${quantity} of ${found.sku} are wanted and ${found.stock} are left`);
  }
  transaction.put(productKey(id), stored({ ...found, stock }));
  const { sku, name, price: { amount, currency } } = found;
  return { product: id, quantity, sku, name, amount: Number(amount), currency, stock };
}

/** The answer for a used key to a call with these lines, in the order of these lines. */
function repeated(all, lines) {
  if (all === null) {
    throw conflict("the reservation was released");
  }
  const found = lines.map((line) => all.find((one) => one.product === line.product && one.quantity === line.quantity));
  if (all.length !== lines.length || found.includes(undefined)) {
    throw conflict("the key was used for other lines");
  }
  return found.map(({ amount, currency, ...line }) => ({ ...line, price: { amount: BigInt(amount), currency } }));
}
