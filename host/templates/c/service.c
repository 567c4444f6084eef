// The service. There is no HTTP here: the host makes HTTP from the contract in wit/.
#include "service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool exports_example_{{snake}}_{{snake}}_greet(service_string_t *person, exports_example_{{snake}}_{{snake}}_greeting_t *greeting,
                                         exports_example_{{snake}}_{{snake}}_error_t *error) {
    static const char nobody[] = "nobody";
    if (person->len == strlen(nobody) && memcmp(person->ptr, nobody, person->len) == 0) {
        error->tag = EXPORTS_EXAMPLE_{{upper}}_{{upper}}_ERROR_NOT_FOUND;
        service_string_free(person);
        return false;
    }
    char *text = NULL;
    int length = asprintf(&text, "Hello, %.*s!", (int)person->len, (const char *)person->ptr);
    service_string_free(person);
    if (length < 0) {
        abort();
    }
    // The bindings free it when the host has taken it.
    greeting->text = (service_string_t){(uint8_t *)text, (size_t)length};
    return true;
}
