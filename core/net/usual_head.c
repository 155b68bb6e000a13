/* usual_head.c - see usual_head.h. */
#include "net/usual_head.h"

#include <string.h>
#include <strings.h>

#include "base/headers.h"

/* No longer a number overflows. */
enum { DIGITS_MOST = 18 };

const char *usual_head_line(const char *at, const char *end, size_t *length)
{
    const char *feed = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;

    if (!feed || feed == at || feed[-1] != '\r')
        return NULL;
    *length = (size_t)(feed - at) - 1;
    return feed + 1;
}

const char *usual_head_target(const char *line, size_t length, size_t *target_length)
{
    static const char method[] = "POST ", version[] = " HTTP/1.1";
    size_t before = sizeof method - 1, behind = sizeof version - 1;

    if (length <= before + behind || memcmp(line, method, before) != 0 ||
        memcmp(line + length - behind, version, behind) != 0)
        return NULL;
    *target_length = length - before - behind;
    return line + before;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool read_length(const char *value, size_t length, struct usual_length *told)
{
    /* Of the blanks behind it llhttp takes some for good and some not. */
    if (told->is_told || length == 0 || length > DIGITS_MOST || value[length] != '\r')
        return false;
    told->is_told = true;
    for (size_t i = 0; i < length; i++) {
        if (value[i] < '0' || value[i] > '9')
            return false;
        told->bytes = told->bytes * 10 + (uint64_t)(value[i] - '0');
    }
    return true;
}

/* Whether a field leaves it to the length where the body ends, and whether another one follows it. */
static bool is_usual(const char *name, size_t name_length, const char *value, size_t value_length,
                     struct usual_length *told)
{
    switch (name_length) {
    case sizeof "upgrade" - 1:
        return strncasecmp(name, "upgrade", name_length) != 0;
    case sizeof "connection" - 1:
        return strncasecmp(name, "connection", name_length) != 0 ||
               (value_length == sizeof "keep-alive" - 1 && strncasecmp(value, "keep-alive", value_length) == 0);
    case sizeof "content-length" - 1:
        return strncasecmp(name, "content-length", name_length) != 0 || read_length(value, value_length, told);
    case sizeof "proxy-connection" - 1:
        return strncasecmp(name, "proxy-connection", name_length) != 0;
    case sizeof "transfer-encoding" - 1:
        return strncasecmp(name, "transfer-encoding", name_length) != 0;
    default:
        return true;
    }
}

const char *usual_head_fields(const char *at, const char *end, size_t most, struct headers *headers,
                              struct usual_length *length)
{
    size_t line_length;

    *length = (struct usual_length){ 0 };
    for (const char *next; (next = usual_head_line(at, end, &line_length)); at = next) {
        const char *colon, *value, *value_end = at + line_length;
        size_t name_length;

        if (line_length == 0)
            return next;
        colon = memchr(at, ':', line_length);
        if (!colon || headers->count == most)
            return NULL;
        name_length = (size_t)(colon - at);
        for (value = colon + 1; value < value_end && is_blank(*value); value++)
            ;
        while (value_end > value && is_blank(value_end[-1]))
            value_end--;
        line_length = (size_t)(value_end - value);
        if (!headers_is_token(at, name_length) || !headers_is_clean(value, line_length) ||
            !is_usual(at, name_length, value, line_length, length))
            return NULL;
        headers_add_bytes(headers, at, name_length, value, line_length);
    }
    return NULL;
}
