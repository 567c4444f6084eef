// Package export_example_{{snake}}_{{snake}} is the service. There is no HTTP here: the host makes HTTP from the
// contract in wit/.
package export_example_{{snake}}_{{snake}}

import (
	types "go.bytecodealliance.org/pkg/wit/types"
	contract "wit_component/example_{{snake}}_{{snake}}"
)

// Greet greets a person.
func Greet(person string) types.Result[contract.Greeting, contract.Error] {
	if person == "nobody" {
		return types.Err[contract.Greeting](contract.MakeErrorNotFound())
	}
	return types.Ok[contract.Greeting, contract.Error](contract.Greeting{Text: "Hello, " + person + "!"})
}
