// The service `products` in JavaScript: the contract `shop:products`, which the component in Rust implements as well.
// There is no HTTP here: the host makes HTTP from typed routes.
//
// The engine is StarlingMonkey, by componentize-js: a u64 of the contract is a BigInt, which the shop's ids need, and
// the contract is built against as `func`, which `atoll wit view` makes of it. Callers see no difference.

import { forget } from "shop:reviews/reviews@1.0.0";
import { answered, conflict, invalid, notFound, unavailable } from "./failures.js";
import {
  idOf, MAX_RECORDS, newId, pageSize, PREFIX, product, productKey, readCursor, skuKey, stored,
} from "./records.js";
import { release, reserve, reserveOne } from "./reservations.js";
import { accepted } from "./rules.js";
import { page, transact, values } from "./store.js";

const taken = (sku) => conflict(`the SKU ${sku} is taken`);

/** `found` with the fields of `changes` that are there. */
function changed(found, changes) {
  const given = (value, before) => value ?? before;
  return {
    id: found.id,
    sku: given(changes.sku, found.sku),
    name: given(changes.name, found.name),
    price: {
      amount: given(changes.price?.amount, found.price.amount),
      currency: given(changes.price?.currency, found.price.currency),
    },
    stock: given(changes.stock, found.stock),
  };
}

/** Removes the reviews of a product, which another service keeps. */
function forgetReviews(id) {
  try {
    forget(id);
  } catch (thrown) {
    const error = answered(thrown);
    throw unavailable(`reviews: ${error.val ?? error.tag}`);
  }
}

export const products = {
  async create(given) {
    const fields = accepted(given);
    return transact((transaction) => {
      const [owner] = transaction.read(skuKey(fields.sku));
      if (owner) {
        throw taken(fields.sku);
      }
      const id = newId();
      transaction.claim(productKey(id));
      transaction.put(productKey(id), stored(fields));
      transaction.put(skuKey(fields.sku), id.toString());
      return { ...fields, id };
    });
  },

  async get(id) {
    const [found] = values([productKey(id)]);
    if (!found) {
      throw notFound();
    }
    return product(id, found);
  },

  async getMany(ids) {
    if (ids.length > MAX_RECORDS) {
      throw invalid([{ pointer: "/ids", detail: `must be at most ${MAX_RECORDS} ids` }]);
    }
    const given = [...ids]; // a list of u64 is a typed array
    return values(given.map(productKey)).map((json, at) => json && product(given[at], json));
  },

  async list(limit, cursor) {
    const most = limit ?? pageSize();
    if (most < 1 || most > MAX_RECORDS) {
      throw invalid([{ pointer: "/limit", detail: `must be a whole number from 1 to ${MAX_RECORDS}` }]);
    }
    const after = cursor === undefined ? undefined : productKey(readCursor(cursor));
    const { entries, next } = page(PREFIX, after, most);
    return {
      items: entries.map(({ key, value }) => product(idOf(key), value)),
      nextCursor: next === undefined ? undefined : idOf(next).toString(),
    };
  },

  async update(id, given) {
    const changes = accepted(given);
    return transact((transaction) => {
      // One snapshot for both keys. With two reads, an update to the same SKU between them would look like another
      // product that has taken the SKU.
      const key = productKey(id);
      const [json, owner] = transaction.read(key, ...(changes.sku === undefined ? [] : [skuKey(changes.sku)]));
      if (!json) {
        throw notFound();
      }
      const before = product(id, json);
      const after = changed(before, changes);
      if (after.sku !== before.sku) {
        if (owner) {
          throw taken(after.sku);
        }
        transaction.delete(skuKey(before.sku));
        transaction.put(skuKey(after.sku), id.toString());
      }
      if (stored(after) !== stored(before)) {
        transaction.put(key, stored(after));
      }
      return after;
    });
  },

  async replace(id, given) {
    return products.update(id, given);
  },

  async remove(id) {
    // The reviews first: if they cannot be removed now, the product stays, and the call can be repeated.
    await products.get(id);
    forgetReviews(id);
    return transact((transaction) => {
      const key = productKey(id);
      const [json] = transaction.read(key);
      if (!json) {
        throw notFound();
      }
      transaction.delete(key);
      // The SKU key needs no check of its own: it changes only together with the product, which is checked.
      transaction.delete(skuKey(product(id, json).sku));
    });
  },

  reserve,

  async reserveOne(id, key, wanted) {
    return reserveOne(id, key, wanted.quantity);
  },

  release,
};
