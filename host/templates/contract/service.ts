// The service. There is no HTTP here: the host makes HTTP from the contract in wit/.
//
// {{numbers}}

/** Answers with an error of the contract. All else that is thrown is a fault of the service. */
function failed<E>(error: E): never {
  throw error;
}
{{code}}
