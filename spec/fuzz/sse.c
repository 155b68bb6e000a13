/* sse.c - fuzz target: streams of providers, as events and as lines. However they are cut, the events are the same. */
#include "fuzz.h"

#include <string.h>

#include "net/sse.h"

enum { EVENT_BYTES = 512, PIECE = 5 };

struct reading {
    uint64_t sum;
    size_t raw_bytes, stop_at, events;
};

static uint64_t mix(uint64_t sum, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        sum = (sum ^ (unsigned char)text[i]) * 1099511628211u;
    return (sum ^ length) * 1099511628211u;
}

static bool on_event(void *arg, const struct sse_event *event)
{
    struct reading *reading = arg;

    reading->raw_bytes += event->raw_length;
    reading->sum = mix(reading->sum, event->raw, event->raw_length);
    reading->sum = mix(reading->sum, event->name, event->name_length);
    reading->sum = mix(reading->sum, event->data, event->data_length);
    reading->sum = mix(reading->sum, event->lacks, strlen(event->lacks));
    fuzz_promise(event->data || event->data_length == 0, "no data has no length");
    fuzz_promise(event->data_length <= event->raw_length + 1, "data is a part of what came");
    reading->events++;
    return reading->stop_at == 0 || reading->events % reading->stop_at != 0;
}

static struct reading read_all(const char *data, size_t size, bool lines, size_t most, size_t stop_at)
{
    struct sse *sse = sse_new(EVENT_BYTES);
    struct reading reading = { .sum = 14695981039346656037u, .stop_at = stop_at };
    uint32_t seed = (uint32_t)size;
    bool fine = true;

    if (lines)
        sse_lines(sse);
    for (size_t at = 0; at < size && fine;) {
        size_t piece = fuzz_piece(&seed, size - at, most);

        fine = sse_push(sse, data + at, piece, on_event, &reading);
        at += piece;
    }
    for (size_t before = SIZE_MAX; fine && before != reading.events;) {
        before = reading.events;
        fine = sse_finish(sse, on_event, &reading);
    }
    fuzz_promise(reading.raw_bytes <= size, "no byte comes twice");
    fuzz_promise(!fine || stop_at > 0 || reading.raw_bytes == size, "no byte is lost");
    sse_free(sse);
    return reading;
}

static void check(const char *data, size_t size, bool lines)
{
    uint64_t whole = read_all(data, size, lines, size + 1, 0).sum;

    fuzz_promise(whole == read_all(data, size, lines, 1, 0).sum, "byte by byte the same is read");
    fuzz_promise(whole == read_all(data, size, lines, PIECE, 0).sum, "in pieces the same is read");
    read_all(data, size, lines, PIECE, 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check((const char *)data, size, false);
    check((const char *)data, size, true);
    return 0;
}
