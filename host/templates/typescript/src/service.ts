// The service. There is no HTTP here: the host makes HTTP from the contract in wit/.
//
// The engine is QuickJS: JavaScript itself, without `fetch` and without the modules of Node. A number that does not fit
// the contract's type is wrapped without an error, so check ranges yourself. The build refuses 64-bit integers, of which
// the tool would make numbers that are wrong above 2^53.

/** `greeting` of the contract. */
interface Greeting {
  text: string;
}

/** `error` of the contract: throw it, and the caller gets it. Anything else that is thrown is a fault. */
type ContractError = { tag: "not-found" } | { tag: "unavailable"; val: string };

function failed(error: ContractError): never {
  throw error;
}

export const {{camel}} = {
  async greet(person: string): Promise<Greeting> {
    if (person === "nobody") {
      failed({ tag: "not-found" });
    }
    return { text: `Hello, ${person}!` };
  },
};
