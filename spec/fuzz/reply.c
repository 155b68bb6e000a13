/* reply.c - fuzz target: replies of providers. However the pieces come in, the same is read and the same refused. */
#include "fuzz.h"

#include <string.h>

#include "base/headers.h"
#include "net/reply_reader.h"

enum { PIECE = 7, FIELDS = 512 };

struct seen {
    uint64_t sum;
    size_t heads, bytes;
};

static uint64_t mix(uint64_t sum, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        sum = (sum ^ (unsigned char)text[i]) * 1099511628211u;
    return sum;
}

/* What is promised of every head that is let through. */
static bool on_head(void *arg, int status, struct headers *headers)
{
    struct seen *seen = arg;

    fuzz_promise(seen->heads++ == 0, "there is one head");
    fuzz_promise(status >= 200 && status <= 999, "a status is a final one");
    fuzz_promise(headers->count <= FIELDS, "there are no more fields than allowed");
    fuzz_promise(headers_count(headers, "content-length") <= 1, "there is one length");
    for (size_t i = 0; i < headers->count; i++) {
        const struct header *field = &headers->fields[i];

        fuzz_promise(headers_is_token(field->name, strlen(field->name)), "a name is a word");
        fuzz_promise(headers_is_clean(field->value, strlen(field->value)), "a value holds no control characters");
        seen->sum = mix(seen->sum, field->name, strlen(field->name) + 1);
        seen->sum = mix(seen->sum, field->value, strlen(field->value) + 1);
    }
    seen->sum = seen->sum * 31 + (uint64_t)status;
    return true;
}

static bool on_body(void *arg, const char *data, size_t length)
{
    struct seen *seen = arg;

    fuzz_promise(seen->heads == 1, "a body comes behind its head");
    fuzz_promise(length > 0, "a piece is one");
    seen->sum = mix(seen->sum, data, length);
    seen->bytes += length;
    return true;
}

static const struct reply_reader_hooks hooks = { on_head, on_body };

/* A sum of all that is read of one reply, its end and how much was used. */
static uint64_t read_all(const char *data, size_t size, size_t most, bool is_head)
{
    struct seen seen = { .sum = 14695981039346656037u };
    struct reply_reader *reader = reply_reader_new(&hooks, &seen, is_head);
    enum reply_outcome outcome = REPLY_MORE;
    uint32_t seed = (uint32_t)size;
    size_t at = 0, used = 0;

    while (at < size && outcome == REPLY_MORE) {
        size_t piece = fuzz_piece(&seed, size - at, most);

        outcome = reply_reader_read(reader, data + at, piece, &used);
        fuzz_promise(used <= piece, "no more is used than there is");
        fuzz_promise(used == piece || outcome == REPLY_WHOLE || outcome == REPLY_BROKEN, "all is used until the end");
        at += used;
    }
    if (outcome == REPLY_MORE)
        outcome = reply_reader_end(reader);
    fuzz_promise(outcome == REPLY_WHOLE || outcome == REPLY_BROKEN, "it has an end");
    fuzz_promise(outcome != REPLY_WHOLE || seen.heads == 1, "what is whole has a head");
    fuzz_promise(!is_head || seen.bytes == 0, "a HEAD has no body");
    if (outcome == REPLY_WHOLE)
        seen.sum = seen.sum * 31 + at;
    else if (reply_reader_fault(reader))
        fuzz_promise(*reply_reader_fault(reader), "a fault is told");
    seen.sum = seen.sum * 31 + outcome * 4 + reply_reader_keeps(reader) * 2 + (reply_reader_fault(reader) != NULL);
    reply_reader_free(reader);
    return seen.sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int is_head = 0; is_head < 2; is_head++) {
        uint64_t whole = read_all((const char *)data, size, size + 1, is_head);

        fuzz_promise(whole == read_all((const char *)data, size, 1, is_head), "byte by byte the same is read");
        fuzz_promise(whole == read_all((const char *)data, size, PIECE, is_head), "in pieces the same is read");
    }
    return 0;
}
