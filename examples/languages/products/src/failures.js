// The errors of the contract. Thrown, they reach the caller; anything else that is thrown is a fault of this service.

export const notFound = () => ({ tag: "not-found" });
export const conflict = (why) => ({ tag: "conflict", val: why });
export const invalid = (errors) => ({ tag: "invalid", val: errors });
export const unavailable = (why) => ({ tag: "unavailable", val: why });
export const internal = (why) => ({ tag: "internal", val: why });

/** The error that a call of another contract was answered with: the engine throws an object that carries it. */
export function answered(thrown) {
  const error = thrown?.payload ?? thrown;
  if (typeof error?.tag !== "string") {
    throw thrown; // a bug, and no answer
  }
  return error;
}
