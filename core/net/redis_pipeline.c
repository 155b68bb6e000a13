/* redis_pipeline.c - see redis_pipeline.h. */
#include "net/redis_pipeline.h"

#include "base/mem.h"

enum { BYTES_KEPT = 256 * 1024, DROPPED_AT_ONCE = 64 * 1024, FEWEST = 16 };

static struct redis_sent *place(const struct redis_pipeline *pipeline, size_t index)
{
    return &pipeline->sent[(pipeline->first + index) & (pipeline->capacity - 1)];
}

static void grow(struct redis_pipeline *pipeline)
{
    size_t capacity = pipeline->capacity ? pipeline->capacity * 2 : FEWEST;
    struct redis_sent *sent = mem_alloc(capacity * sizeof *sent);

    for (size_t i = 0; i < pipeline->count; i++)
        sent[i] = *place(pipeline, i);
    mem_free(pipeline->sent);
    pipeline->sent = sent;
    pipeline->capacity = capacity;
    pipeline->first = 0;
}

static void append(struct redis_pipeline *pipeline, struct redis_sent sent)
{
    if (pipeline->count == pipeline->capacity)
        grow(pipeline);
    pipeline->count++;
    *place(pipeline, pipeline->count - 1) = sent;
}

void redis_pipeline_add(struct redis_pipeline *pipeline, struct redis_sent sent, size_t from)
{
    sent.length = pipeline->bytes.length - from;
    sent.due_us = INT64_MAX;
    append(pipeline, sent);
    pipeline->undated++;
}

struct redis_sent *redis_pipeline_oldest(struct redis_pipeline *pipeline)
{
    return pipeline->count ? place(pipeline, 0) : NULL;
}

void redis_pipeline_repeat_oldest(struct redis_pipeline *pipeline)
{
    struct redis_sent sent = *place(pipeline, 0);
    size_t from = pipeline->bytes.length;

    sent.is_again = true;
    sent.graces = 0;
    buf_reserve(&pipeline->bytes, sent.length); /* first: what is copied lies in the same memory */
    buf_add(&pipeline->bytes, pipeline->bytes.data + pipeline->answered, sent.length);
    redis_pipeline_add(pipeline, sent, from);
}

struct redis_sent redis_pipeline_take_oldest(struct redis_pipeline *pipeline)
{
    struct redis_sent sent = *place(pipeline, 0);
    struct buf *bytes = &pipeline->bytes;

    pipeline->first = (pipeline->first + 1) & (pipeline->capacity - 1);
    pipeline->count--;
    if (pipeline->undated > pipeline->count)
        pipeline->undated = pipeline->count;
    pipeline->answered += sent.length;
    if (pipeline->answered == bytes->length) {
        if (bytes->capacity > BYTES_KEPT)
            buf_free(bytes);
        buf_clear(bytes);
        pipeline->answered = pipeline->written = 0;
    } else if (pipeline->answered > DROPPED_AT_ONCE && pipeline->answered > bytes->length / 2) {
        buf_drop(bytes, pipeline->answered);
        pipeline->written -= pipeline->answered;
        pipeline->answered = 0;
    }
    return sent;
}

const char *redis_pipeline_unwritten(const struct redis_pipeline *pipeline, size_t *length)
{
    *length = pipeline->bytes.length - pipeline->written;
    return *length ? pipeline->bytes.data + pipeline->written : "";
}

void redis_pipeline_wrote(struct redis_pipeline *pipeline, size_t length)
{
    pipeline->written += length;
}

void redis_pipeline_date(struct redis_pipeline *pipeline, int64_t due_us)
{
    for (; pipeline->undated > 0; pipeline->undated--)
        place(pipeline, pipeline->count - pipeline->undated)->due_us = due_us;
}

bool redis_pipeline_awaits(const struct redis_pipeline *pipeline)
{
    return pipeline->count && pipeline->answered + place(pipeline, 0)->length <= pipeline->written;
}

void redis_pipeline_move(struct redis_pipeline *from, struct redis_pipeline *to)
{
    for (size_t i = 0; i < from->count; i++) {
        append(to, *place(from, i));
        place(to, to->count - 1)->length = 0;
    }
    redis_pipeline_free(from);
}

void redis_pipeline_free(struct redis_pipeline *pipeline)
{
    mem_free(pipeline->sent);
    buf_free(&pipeline->bytes);
    *pipeline = (struct redis_pipeline){ 0 };
}
