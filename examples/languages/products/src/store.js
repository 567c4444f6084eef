// Transactions over `atoll:state`: read, decide, commit, and begin again if another request was faster.

import { commit, getMany, scan } from "atoll:state/transactions@0.1.0";
import { answered, internal, unavailable } from "./failures.js";

/** How often a transaction is tried. With the pauses below, 64 writers of one key all succeed. */
const TRIES = 24;
const LONGEST_PAUSE_MS = 64;

/** Calls the store. Its refusals become those of this service's contract; `null` is a conflict. */
function ask(call) {
  try {
    return call();
  } catch (thrown) {
    const error = answered(thrown);
    if (error.tag === "conflict") {
      return null;
    }
    throw error.tag === "unavailable" ? unavailable(error.val) : internal(error.val);
  }
}

function text(bytes) {
  return new TextDecoder().decode(bytes);
}

/** One try: what was read, and what is to be written if nothing of that has changed. */
class Transaction {
  checks = [];
  writes = [];

  /** Reads keys in one snapshot. The commit demands that none of them has changed since. */
  read(...keys) {
    const found = ask(() => getMany(keys));
    keys.forEach((key, at) => this.checks.push({ key, version: found[at]?.version ?? 0n }));
    return found.map((value) => value && text(value.value));
  }

  /** Demands that `key` is absent when the transaction commits. The key is not read now. */
  claim(key) {
    this.checks.push({ key, version: 0n });
  }

  put(key, value) {
    this.writes.push({ tag: "put", val: { key, value: new TextEncoder().encode(value) } });
  }

  delete(key) {
    this.writes.push({ tag: "delete", val: key });
  }
}

/** Runs `decide` and commits what it wrote; runs it again if something that it read has changed meanwhile. */
export async function transact(decide) {
  for (let tried = 0; tried < TRIES; tried += 1) {
    if (tried > 0) {
      // A random part of a pause that grows, so that requests which conflicted do not collide again.
      const longest = Math.min(LONGEST_PAUSE_MS, 2 ** (tried - 1));
      await new Promise((done) => setTimeout(done, longest * random32() / 2 ** 32));
    }
    const transaction = new Transaction();
    const answer = await decide(transaction);
    if (transaction.writes.length === 0 || ask(() => commit(transaction.checks, transaction.writes)) !== null) {
      return answer;
    }
  }
  throw unavailable("what this call changes changes too often");
}

/** The values of `keys` in one snapshot. */
export function values(keys) {
  return ask(() => getMany(keys)).map((value) => value && text(value.value));
}

/** A page of the entries whose keys begin with `prefix`, and the key after which the next one begins. */
export function page(prefix, after, limit) {
  const found = ask(() => scan(prefix, after, limit));
  return { entries: found.entries.map(({ key, value }) => ({ key, value: text(value) })), next: found.next };
}

/** From the host. The state of `Math.random` is the component's, so that fresh instances may begin with the same. */
export function random32() {
  return crypto.getRandomValues(new Uint32Array(1))[0];
}
