/* http1_head.c - see http1_head.h. */
#include "net/http1_head.h"

#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/headers.h"
#include "net/destination.h"
#include "net/request_fields.h"
#include "net/upstream.h"

enum { LINES_BYTES = 128 }; /* what stands in a head beside names, values and addresses */

static char *put(char *at, const char *text)
{
    return stpcpy(at, text);
}

static char *put_field(char *at, const char *name, const char *value)
{
    at = put(put(at, name), *value ? ": " : ":");
    return put(put(at, value), "\r\n");
}

static char *put_length(char *at, size_t length)
{
    char digits[20];
    size_t count = 0;

    at = put(at, "Content-Length: ");
    do
        digits[count++] = (char)('0' + length % 10);
    while (length /= 10);
    while (count)
        *at++ = digits[--count];
    return put(at, "\r\n");
}

const char *http1_head_add(struct buf *head, const struct upstream_request *request,
                           const struct destination *destination)
{
    const struct headers *headers = request->headers;
    size_t bytes, own = strlen(request->method);
    char *at;

    if (!headers_is_token(request->method, own))
        return "the method is not a word";
    if (!request_fields_are_clean(headers, &bytes))
        return "a header's name or value holds a character that may not be sent";
    own += strlen(destination->target) + strlen(destination->authority) + LINES_BYTES;
    if (destination->authorization)
        own += strlen(destination->authorization) + sizeof "Authorization: \r\n";
    buf_reserve(head, bytes + headers->count * (sizeof ": \r\n" - 1) + own);
    at = head->data + head->length;
    at = put(put(put(put(at, request->method), " "), destination->target), " HTTP/1.1\r\n");
    if (!headers_get(headers, "host"))
        at = put_field(at, "Host", destination->authority);
    if (destination->authorization && !headers_get(headers, "authorization"))
        at = put_field(at, "Authorization", destination->authorization);
    if (!headers_get(headers, "accept"))
        at = put_field(at, "Accept", "*/*");
    for (size_t i = 0; i < headers->count; i++) {
        const struct header *field = &headers->fields[i];

        if (!request_fields_is_framing(field->name))
            at = put_field(at, field->name, field->value + strspn(field->value, " \t"));
    }
    if (request->body_length > 0 || strcmp(request->method, "POST") == 0)
        at = put_length(at, request->body_length);
    at = put(at, "\r\n");
    head->length = (size_t)(at - head->data);
    return NULL;
}
