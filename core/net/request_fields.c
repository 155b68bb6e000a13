/* request_fields.c - see request_fields.h. */
#include "net/request_fields.h"

#include <string.h>
#include <strings.h>

#include "base/headers.h"

bool request_fields_are_clean(const struct headers *headers, size_t *bytes)
{
    *bytes = 0;
    for (size_t i = 0; i < headers->count; i++) {
        const struct header *field = &headers->fields[i];
        size_t name_length = strlen(field->name), value_length = strlen(field->value);

        if (!headers_is_token(field->name, name_length) || !headers_is_clean(field->value, value_length))
            return false;
        *bytes += name_length + value_length;
    }
    return true;
}

bool request_fields_is_framing(const char *name)
{
    static const struct {
        const char *text;
        size_t length;
    } names[] = { { "content-length", 14 },
                  { "transfer-encoding", 17 },
                  { "connection", 10 },
                  { "keep-alive", 10 },
                  { "expect", 6 },
                  { "upgrade", 7 },
                  { "te", 2 },
                  { "trailer", 7 },
                  { "accept-encoding", 15 } };
    size_t length = strlen(name);

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].length == length && strcasecmp(name, names[i].text) == 0)
            return true;
    return false;
}
