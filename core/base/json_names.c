/* json_names.c - see json_names.h. */
#include "base/json_names.h"

#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/json_scan.h"

enum { FEW = 24 };

/* By hash: for objects with many members or escaped names. */
static const struct json_node *hashed_duplicate(const char *text, const struct json_node *nodes, size_t count,
                                                size_t object)
{
    const struct json_node *found = NULL;
    struct hash seen = { 0 };
    struct buf unescaped = { 0 };
    size_t escaped = 0;

    /* Names must stay where they are: room for all of them first. */
    for (size_t at = object + 1; at < count; at = nodes[at + 1].next)
        if (nodes[at].escaped)
            escaped += nodes[at].end - nodes[at].start;
    buf_reserve(&unescaped, escaped);
    for (size_t at = object + 1; at < count && !found; at = nodes[at + 1].next) {
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
static const struct json_node *paired_duplicate(const char *text, const struct json_node *nodes, size_t count,
                                                size_t object)
{
    const struct json_node *names[FEW];
    uint32_t looks[FEW]; /* nearly all pairs are over with here */
    size_t seen = 0;

    for (size_t at = object + 1; at < count; at = nodes[at + 1].next, seen++) {
        const struct json_node *name = &nodes[at];
        size_t length = name->end - name->start;

        names[seen] = name;
        looks[seen] = (uint32_t)length << 16 | (uint32_t)(unsigned char)text[name->start + 1] << 8 |
                      (unsigned char)text[name->end - 2];
        for (size_t i = 0; i < seen; i++)
            if (looks[i] == looks[seen] && names[i]->end - names[i]->start == length &&
                memcmp(text + names[i]->start, text + name->start, length) == 0)
                return name;
    }
    return NULL;
}

const struct json_node *json_duplicate(const char *text, const struct json_node *nodes, size_t count, size_t object)
{
    if (nodes[object].size > FEW)
        return hashed_duplicate(text, nodes, count, object);
    for (size_t at = object + 1; at < count; at = nodes[at + 1].next)
        if (nodes[at].escaped)
            return hashed_duplicate(text, nodes, count, object);
    return paired_duplicate(text, nodes, count, object);
}
