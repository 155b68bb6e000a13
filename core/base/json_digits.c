/* json_digits.c - see json_digits.h. */
#include "base/json_digits.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"

static size_t skip_digits(const char *text, size_t at, size_t length)
{
    while (at < length && text[at] >= '0' && text[at] <= '9')
        at++;
    return at;
}

static bool is_finite(const char *text, size_t length)
{
    char *copy = mem_copy(text, length);
    double value = strtod(copy, NULL);

    mem_free(copy);
    return isfinite(value);
}

size_t json_digits(const char *text, size_t start, size_t length, const char **message)
{
    size_t digits, at = start + (text[start] == '-');
    bool long_exponent = false;

    digits = skip_digits(text, at, length);
    if (digits == at) {
        *message = "a number must have a digit here";
        return at;
    }
    if (text[at] == '0' && digits > at + 1) {
        *message = "a number must not begin with a zero";
        return at;
    }
    at = digits;
    if (at < length && text[at] == '.') {
        digits = skip_digits(text, ++at, length);
        if (digits == at) {
            *message = "a number must have a digit after its point";
            return at;
        }
        at = digits;
    }
    if (at < length && (text[at] == 'e' || text[at] == 'E')) {
        at++;
        if (at < length && (text[at] == '+' || text[at] == '-'))
            at++;
        digits = skip_digits(text, at, length);
        if (digits == at) {
            *message = "a number must have a digit in its exponent";
            return at;
        }
        long_exponent = digits - at >= 3;
        at = digits;
    }
    if ((long_exponent || at - start > 300) && !is_finite(text + start, at - start)) {
        *message = "a number beyond what a double can hold";
        return start;
    }
    return at;
}
