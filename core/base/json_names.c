/* json_names.c - see json_names.h. */
#include "base/json_names.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/json_scan.h"

enum { FEW = 8 };

/* By hash: for objects with many members or escaped names. */
static const struct json_node *hashed_duplicate(const char *text, const struct json_index *index, size_t object)
{
    const struct json_node *nodes = index->nodes, *found = NULL;
    struct hash seen = { 0 };
    struct buf unescaped = { 0 };
    size_t escaped = 0;

    /* Names must stay where they are: room for all of them first. */
    for (size_t at = object + 1; at < index->count; at = nodes[at + 1].next)
        if (nodes[at].escaped)
            escaped += nodes[at].end - nodes[at].start;
    buf_reserve(&unescaped, escaped);
    for (size_t at = object + 1; at < index->count && !found; at = nodes[at + 1].next) {
        const char *name = text + nodes[at].start + 1;
        size_t length = nodes[at].end - nodes[at].start - 2, start = unescaped.length;

        if (nodes[at].escaped) {
            json_unescape(text, &nodes[at], &unescaped);
            name = unescaped.data + start;
            length = unescaped.length - start;
        }
        if (hash_get(&seen, name, length))
            found = &nodes[at];
        else
            hash_put(&seen, name, length, (void *)&nodes[at]);
    }
    hash_free(&seen);
    buf_free(&unescaped);
    return found;
}

/* Each with each. */
static const struct json_node *paired_duplicate(const char *text, const struct json_index *index, size_t object)
{
    const struct json_node *nodes = index->nodes, *names[FEW];
    size_t count = 0;

    for (size_t at = object + 1; at < index->count; at = nodes[at + 1].next) {
        const struct json_node *name = &nodes[at];
        size_t length = name->end - name->start;

        for (size_t i = 0; i < count; i++)
            if (names[i]->end - names[i]->start == length &&
                memcmp(text + names[i]->start, text + name->start, length) == 0)
                return name;
        names[count++] = name;
    }
    return NULL;
}

const struct json_node *json_duplicate(const char *text, const struct json_index *index, size_t object)
{
    const struct json_node *nodes = index->nodes;
    uint64_t seen = 0;
    bool maybe = false;

    if (nodes[object].size > FEW)
        return hashed_duplicate(text, index, object);
    /* Names that differ in their length or last letter, as nearly all do, need not be compared. */
    for (size_t at = object + 1; at < index->count; at = nodes[at + 1].next) {
        const struct json_node *name = &nodes[at];
        uint64_t bit = (uint64_t)1 << ((name->size * 5 + (unsigned char)text[name->end - 2]) & 63);

        if (name->escaped)
            return hashed_duplicate(text, index, object);
        maybe |= (seen & bit) != 0;
        seen |= bit;
    }
    return maybe ? paired_duplicate(text, index, object) : NULL;
}
