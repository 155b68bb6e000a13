/* request.c - fuzz target: HTTP requests. Whatever the pieces they come in, the same is read and the same refused. */
#include "fuzz.h"

#include <string.h>

#include "net/client.h"
#include "net/request_head.h"
#include "net/request_reader.h"

enum { REQUESTS = 32, PIECE = 7 };

static const struct client_limits limits = { 256, 2048, 16, 4096, 4096, 10, 10, 10, 10 };

/* What is promised of every request that is let through. */
static void check(const struct client_request *request)
{
    size_t hosts = headers_count(&request->headers, "host");

    fuzz_promise(request->body.length <= limits.body_bytes, "a body is within its limit");
    fuzz_promise(request->headers.count <= limits.header_count, "there are no more fields than allowed");
    fuzz_promise(hosts <= 1, "there is one host");
    fuzz_promise(
        !(headers_get(&request->headers, "content-length") && headers_get(&request->headers, "transfer-encoding")),
        "a length and a coding exclude each other");
    fuzz_promise(headers_count(&request->headers, "content-length") <= 1, "there is one length");
    fuzz_promise(strlen(request->target) <= limits.target_bytes, "a target is within its limit");
    fuzz_promise(*request->path == '/' || strcmp(request->path, "*") == 0, "a path begins with a slash");
    for (size_t i = 0; i < request->headers.count; i++) {
        const struct header *field = &request->headers.fields[i];

        fuzz_promise(headers_is_token(field->name, strlen(field->name)), "a name is a word");
        fuzz_promise(headers_is_clean(field->value, strlen(field->value)), "a value holds no control characters");
    }
}

static uint64_t mix(uint64_t sum, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        sum = (sum ^ (unsigned char)text[i]) * 1099511628211u;
    return (sum ^ length) * 1099511628211u;
}

static uint64_t sum_of(uint64_t sum, const struct client_request *request)
{
    sum = mix(sum, request->method, strlen(request->method));
    sum = mix(sum, request->path, strlen(request->path));
    sum = mix(sum, request->query, strlen(request->query));
    for (size_t i = 0; i < request->headers.count; i++) {
        sum = mix(sum, request->headers.fields[i].name, strlen(request->headers.fields[i].name));
        sum = mix(sum, request->headers.fields[i].value, strlen(request->headers.fields[i].value));
    }
    return mix(sum, request->body.data, request->body.length) + request->keep_alive;
}

/* Reads one request after the other as client_step.c does; returns a sum of all that was read and refused. */
static uint64_t read_all(const char *data, size_t size, size_t most)
{
    struct request_reader *reader = NULL;
    enum request_outcome outcome = REQUEST_MORE;
    uint32_t seed = (uint32_t)size;
    uint64_t sum = 14695981039346656037u;
    size_t at = 0;

    for (int requests = 0; at < size && requests < REQUESTS && outcome != REQUEST_REFUSED;) {
        size_t end = at + fuzz_piece(&seed, size - at, most);

        while (at < end && outcome != REQUEST_REFUSED) {
            const char *message;
            size_t used;

            if (!reader)
                reader = request_reader_new(&limits, "127.0.0.1:1");
            outcome = request_reader_read(reader, data + at, end - at, &used);
            fuzz_promise(used <= end - at, "no more is used than there is");
            fuzz_promise(used > 0 || outcome != REQUEST_MORE, "reading goes on");
            at += used;
            if (outcome == REQUEST_MORE)
                continue;
            if (outcome == REQUEST_WHOLE) {
                check(request_reader_request(reader));
                sum = sum_of(sum, request_reader_request(reader));
            } else {
                int status = request_reader_refusal(reader, &message);

                fuzz_promise(status >= 400 && status <= 505 && message && *message, "a refusal says why");
                sum = sum * 31 + (uint64_t)status;
            }
            request_reader_free(reader);
            reader = NULL;
            requests++;
        }
    }
    request_reader_free(reader);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t whole = read_all((const char *)data, size, size + 1);

    fuzz_promise(whole == read_all((const char *)data, size, 1), "byte by byte the same is read");
    fuzz_promise(whole == read_all((const char *)data, size, PIECE), "in pieces the same is read");
    return 0;
}
