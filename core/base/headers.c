/* headers.c - see headers.h. */
#include "base/headers.h"

#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/mem.h"

enum { TEXT_BYTES = 1000 };

/* A run of memory for many fields: they come together and go together. */
struct headers_text {
    struct headers_text *next;
    size_t used, size;
    char bytes[];
};

static char *room_for(struct headers *headers, size_t length)
{
    struct headers_text *text = headers->texts;

    if (!text || text->size - text->used < length) {
        size_t size = length > TEXT_BYTES ? length : TEXT_BYTES;

        text = mem_alloc(sizeof *text + size);
        text->next = headers->texts;
        text->used = 0;
        text->size = size;
        headers->texts = text;
    }
    text->used += length;
    return text->bytes + text->used - length;
}

void headers_add_bytes(struct headers *headers, const char *name, size_t name_length, const char *value,
                       size_t value_length)
{
    struct header *field;

    if (headers->count == headers->capacity) {
        headers->capacity = headers->capacity ? headers->capacity * 2 : 16;
        headers->fields = mem_resize(headers->fields, headers->capacity * sizeof *headers->fields);
    }
    field = &headers->fields[headers->count++];
    field->name = room_for(headers, name_length + value_length + 2);
    memcpy(field->name, name, name_length);
    field->name[name_length] = '\0';
    field->value = field->name + name_length + 1;
    memcpy(field->value, value, value_length);
    field->value[value_length] = '\0';
}

void headers_add(struct headers *headers, const char *name, const char *value)
{
    headers_add_bytes(headers, name, strlen(name), value, strlen(value));
}

/* Nearly every other name begins with another letter. */
static bool is_named(const struct header *field, const char *name)
{
    return ((*field->name ^ *name) & ~0x20) == 0 && strcasecmp(field->name, name) == 0;
}

const char *headers_get(const struct headers *headers, const char *name)
{
    for (size_t i = 0; i < headers->count; i++)
        if (is_named(&headers->fields[i], name))
            return headers->fields[i].value;
    return NULL;
}

size_t headers_count(const struct headers *headers, const char *name)
{
    size_t count = 0;

    for (size_t i = 0; i < headers->count; i++)
        count += is_named(&headers->fields[i], name);
    return count;
}

static inline bool is_plain(uint64_t word)
{
    return !(bytes_less(word, 0x20) | bytes_equal(word, 0x7f));
}

bool headers_is_clean(const char *value, size_t length)
{
    size_t i = 0;

    while (i + 8 <= length && is_plain(bytes_word(value + i)))
        i += 8;
    /* Less than a word is left: looked at with some bytes before it. */
    if (i >= 8 && i + 8 > length && is_plain(bytes_word(value + length - 8)))
        return true;
    for (; i < length; i++) {
        unsigned char c = (unsigned char)value[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* Whether all of eight bytes are letters or hyphens. A byte that is lifted over 0x7f leaves its own highest bit only:
 * none of them has that bit before. */
static inline bool is_lettered(uint64_t word)
{
    uint64_t small = word | BYTES_ONES * 0x20;
    uint64_t letters = (small + BYTES_ONES * (0x80 - 'a')) & ~(small + BYTES_ONES * (0x7f - 'z'));
    uint64_t others = (word ^ BYTES_ONES * '-') + BYTES_ONES * 0x7f; /* no hyphens */

    return !bytes_high(word) && !bytes_high(~letters & others);
}

bool headers_is_token(const char *name, size_t length)
{
    static const bool marks[256] = {
        ['a' ... 'z'] = true,  ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['!'] = true,
        ['#' ... '\''] = true, ['*'] = true,         ['+'] = true,         ['-'] = true,
        ['.'] = true,          ['^' ... '`'] = true, ['|'] = true,         ['~'] = true,
    };
    bool is_token = length > 0;
    size_t i = 0;

    while (i + 8 <= length && is_lettered(bytes_word(name + i)))
        i += 8;
    if (i >= 8 && i + 8 > length && is_lettered(bytes_word(name + length - 8)))
        return true;
    for (; i < length; i++)
        is_token &= marks[(unsigned char)name[i]];
    return is_token;
}

void headers_free(struct headers *headers)
{
    while (headers->texts) {
        struct headers_text *text = headers->texts;

        headers->texts = text->next;
        mem_free(text);
    }
    mem_free(headers->fields);
    *headers = (struct headers){ 0 };
}
