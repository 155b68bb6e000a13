/*
 * sse.c - see sse.h. Bytes are looked at for the blank line that ends an event,
 * wherever the network cut it, and then, whole, for its fields. Events are read
 * where they came, and nothing is copied but the beginning of one whose end is
 * to come, and several data lines that must be joined. It never looks into the
 * data.
 */
#include "net/sse.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

/* Line ends of either kind are looked for in so many bytes at once: what the next LF is far behind may have many CR. */
enum { WINDOW_BYTES = 512 };

typedef bool on_event_fn(void *arg, const struct sse_event *event);

struct sse {
    const char *data; /* what is read: bytes, or what came when there were none */
    size_t length;
    size_t begin;   /* of the event under way, in data */
    size_t scanned; /* up to here no end was found */
    size_t first;   /* bytes of its first line, or 0: it has no end yet */
    size_t mark;    /* of the byte order mark before it */
    size_t max_bytes;
    bool failed;
    bool lines;        /* each line is an event */
    bool in_line;      /* the line at scanned has begun */
    bool begun;        /* past the place where a byte order mark may stand */
    bool cut;          /* the event under way ends where the stream does */
    struct buf bytes;  /* what came before, and is not handed out yet */
    struct buf joined; /* data of an event with several data lines */
};

static const char byte_order_mark[] = { '\xef', '\xbb', '\xbf' };

struct sse *sse_new(size_t max_bytes)
{
    struct sse *sse = mem_zero(sizeof *sse);

    sse->max_bytes = max_bytes;
    return sse;
}

void sse_free(struct sse *sse)
{
    if (!sse)
        return;
    buf_free(&sse->bytes);
    buf_free(&sse->joined);
    mem_free(sse);
}

void sse_lines(struct sse *sse)
{
    sse->lines = true;
}

/* False: the stream's first bytes may yet become a byte order mark. */
static bool skip_mark(struct sse *sse, bool at_end)
{
    size_t length = sse->length;

    if (sse->begun)
        return true;
    if (length >= sizeof byte_order_mark) {
        if (memcmp(sse->data, byte_order_mark, sizeof byte_order_mark) == 0)
            sse->mark = sse->scanned = sizeof byte_order_mark;
    } else if (!at_end && (length == 0 || memcmp(sse->data, byte_order_mark, length) == 0)) {
        return false;
    }
    sse->begun = true;
    return true;
}

/* The bytes before the first line end, or all of them. */
static size_t line_bytes(const char *data, size_t length)
{
    const char *at = data, *end = data + length;

    while (at < end && *at != '\n' && *at != '\r') {
        size_t window = end - at < WINDOW_BYTES ? (size_t)(end - at) : WINDOW_BYTES;
        const char *feed = memchr(at, '\n', window);
        const char *carriage = memchr(at, '\r', feed ? (size_t)(feed - at) : window);

        if (carriage || feed)
            return (size_t)((carriage ? carriage : feed) - data);
        at += window;
    }
    return (size_t)(at - data);
}

/*
 * The offset behind the blank line of the event under way, or 0; at the end of the stream no blank line is needed. A
 * CR that comes last waits for the next byte: an LF would belong to it, and an event is the same however it is cut.
 */
static size_t find_end(struct sse *sse, bool at_end)
{
    const char *data = sse->data;
    size_t length = sse->length;
    size_t i = sse->scanned;
    bool in_line = sse->in_line;

    for (; i < length; i++) {
        size_t line = line_bytes(data + i, length - i);

        in_line = in_line || line > 0;
        i += line;
        if (i == length)
            break;
        if (!sse->first)
            sse->first = i - sse->begin;
        if (data[i] == '\r') {
            if (i + 1 == length && !at_end)
                break;
            if (i + 1 < length && data[i + 1] == '\n')
                i++;
        }
        if (!in_line) {
            sse->in_line = false;
            sse->scanned = i + 1;
            return i + 1;
        }
        in_line = false;
    }
    sse->in_line = in_line;
    sse->scanned = i;
    sse->cut = at_end && i > sse->begin;
    return sse->cut ? i : 0;
}

/* The same of a line: behind its LF. */
static size_t find_line_end(struct sse *sse, bool at_end)
{
    const char *data = sse->data;
    size_t length = sse->length;
    const char *end = length > sse->scanned ? memchr(data + sse->scanned, '\n', length - sse->scanned) : NULL;

    sse->scanned = end ? (size_t)(end - data) + 1 : length;
    sse->cut = !end && at_end && length > sse->begin;
    return end || sse->cut ? sse->scanned : 0;
}

static bool is_field(const char *line, size_t name_length, const char *name)
{
    return name_length == strlen(name) && memcmp(line, name, name_length) == 0;
}

static void read_line(struct sse *sse, struct sse_event *event, const char *line, size_t length)
{
    const char *colon = memchr(line, ':', length);
    size_t name_length = colon ? (size_t)(colon - line) : length;
    const char *value = colon ? colon + 1 : line + length;
    size_t value_length = (size_t)(line + length - value);

    if (value_length && *value == ' ') {
        value++;
        value_length--;
    }
    if (is_field(line, name_length, "event")) {
        event->name = value;
        event->name_length = value_length;
    } else if (is_field(line, name_length, "data")) {
        if (!event->data) {
            event->data = value;
            event->data_length = value_length;
            return;
        }
        if (!sse->joined.length && event->data_length)
            buf_add(&sse->joined, event->data, event->data_length);
        buf_add_char(&sse->joined, '\n');
        buf_add(&sse->joined, value, value_length);
        event->data = sse->joined.data;
        event->data_length = sse->joined.length;
    }
}

static void read_fields(struct sse *sse, struct sse_event *event)
{
    const char *line = event->raw + sse->mark, *last = event->raw + event->raw_length, *stop;

    buf_clear(&sse->joined);
    for (size_t first = sse->first; line < last; first = 0) {
        stop = first ? event->raw + first : line + line_bytes(line, (size_t)(last - line));
        if (stop > line)
            read_line(sse, event, line, (size_t)(stop - line));
        line = stop + 1;
        if (line < last && stop[0] == '\r' && stop[1] == '\n')
            line++;
    }
}

static void read_whole_line(const struct sse *sse, struct sse_event *event)
{
    const char *line = event->raw + sse->mark;
    size_t length = event->raw_length - sse->mark;

    if (length && line[length - 1] == '\n')
        length--;
    if (length && line[length - 1] == '\r')
        length--;
    event->data = length ? line : NULL;
    event->data_length = length;
}

static const char *lacks(const struct sse *sse, const struct sse_event *event)
{
    if (!sse->cut)
        return "";
    return sse->lines || event->raw[event->raw_length - 1] == '\n' || event->raw[event->raw_length - 1] == '\r'
               ? "\n"
               : "\n\n";
}

static bool deliver(struct sse *sse, size_t end, on_event_fn *on_event, void *arg)
{
    struct sse_event event = { .raw = sse->data + sse->begin, .raw_length = end - sse->begin, .name = "" };

    if (sse->lines)
        read_whole_line(sse, &event);
    else
        read_fields(sse, &event);
    event.lacks = lacks(sse, &event);
    sse->mark = sse->first = 0;
    sse->begin = end;
    return on_event(arg, &event);
}

/* What was handed out leaves the front; only when it is most of the bytes, so that each is moved about once. */
static void compact(struct sse *sse)
{
    if (sse->begin == 0 || sse->begin < sse->bytes.length / 2)
        return;
    buf_drop(&sse->bytes, sse->begin);
    sse->scanned -= sse->begin;
    sse->begin = 0;
}

static void look_at(struct sse *sse, const char *data, size_t length)
{
    sse->data = data;
    sse->length = length;
}

/* What was read where it came, and not handed out, waits. */
static void keep_rest(struct sse *sse)
{
    buf_add(&sse->bytes, sse->data + sse->begin, sse->length - sse->begin);
    sse->scanned -= sse->begin;
    sse->begin = 0;
}

static bool refuse(struct sse *sse)
{
    sse->failed = true;
    buf_free(&sse->bytes);
    return false;
}

static bool read_events(struct sse *sse, bool at_end, on_event_fn *on_event, void *arg)
{
    size_t end;

    if (sse->failed)
        return false;
    if (!skip_mark(sse, at_end))
        return true;
    while ((end = sse->lines ? find_line_end(sse, at_end) : find_end(sse, at_end))) {
        if (end - sse->begin > sse->max_bytes)
            return refuse(sse);
        if (!deliver(sse, end, on_event, arg))
            return true;
    }
    if (sse->length - sse->begin > sse->max_bytes)
        return refuse(sse);
    return true;
}

bool sse_push(struct sse *sse, const char *data, size_t length, on_event_fn *on_event, void *arg)
{
    bool is_fine;

    if (sse->failed)
        return false;
    compact(sse);
    if (sse->bytes.length > 0) {
        buf_add(&sse->bytes, data, length);
        look_at(sse, sse->bytes.data, sse->bytes.length);
        return read_events(sse, false, on_event, arg);
    }
    look_at(sse, data, length);
    is_fine = read_events(sse, false, on_event, arg);
    if (is_fine)
        keep_rest(sse);
    return is_fine;
}

void sse_rest(struct sse *sse)
{
    if (sse->begin < sse->bytes.length)
        return;
    buf_free(&sse->bytes);
    buf_free(&sse->joined);
    sse->begin = sse->scanned = 0;
}

bool sse_finish(struct sse *sse, on_event_fn *on_event, void *arg)
{
    look_at(sse, sse->bytes.data, sse->bytes.length);
    return read_events(sse, true, on_event, arg);
}
