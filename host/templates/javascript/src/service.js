// The service. There is no HTTP here: the host makes HTTP from the contract in wit/.
//
// The engine is QuickJS: JavaScript itself, without `fetch` and without the modules of Node. A u64 of the contract is a
// BigInt; a number that does not fit the contract's type is wrapped without an error, so check ranges yourself.

export const {{camel}} = {
  async greet(person) {
    if (person === "nobody") {
      throw { tag: "not-found" };
    }
    return { text: `Hello, ${person}!` };
  },
};
