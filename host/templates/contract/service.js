// The service. There is no HTTP here: the host makes HTTP from the contract in wit/.
//
// A function answers with an error of the contract by throwing it, as in `throw { tag: "not-found" }`. All else that is
// thrown is a fault of the service. {{numbers}}
{{code}}
