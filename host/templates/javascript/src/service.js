// The service. There is no HTTP here: the host makes HTTP from the contract in wit/.
//
// The engine is QuickJS: JavaScript itself, without `fetch` and without the modules of Node. A number that does not fit
// the contract's type is wrapped without an error, so check ranges yourself. The build refuses 64-bit integers, of which
// the tool would make numbers that are wrong above 2^53.

export const {{camel}} = {
  async greet(person) {
    if (person === "nobody") {
      throw { tag: "not-found" };
    }
    return { text: `Hello, ${person}!` };
  },
};
