// The service `users`: who may order. There is no HTTP here: the host makes HTTP from the contract.

const USERS = new Map([
  [1, { id: 1, name: "Ada" }],
  [2, { id: 2, name: "Grace" }],
]);

export const users = {
  async get(id) {
    const user = USERS.get(id);
    if (!user) {
      throw { tag: "not-found" };
    }
    return user;
  },
};
