// The service. There is no HTTP here: the host makes HTTP from the contract in wit/.
//
// What a function is given is its own: it frees that. What it answers, the bindings free when the host has taken it.
#include "service.h"

#include <stdio.h>
#include <stdlib.h>
{{code}}
