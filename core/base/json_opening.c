/* json_opening.c - see json_opening.h. */
#include "base/json_opening.h"

#include <stdbool.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/json_scan.h"

uint64_t json_opening(struct buf *scratch, const char *text, struct json_index *index, size_t list,
                      const struct json_opening *opening)
{
    const struct json_node *nodes = index->nodes;
    uint64_t both[2] = { hash_code(opening->owner, opening->owner_length), 0 };
    size_t item = list + 1;
    bool found = false;

    for (size_t left = opening->items; item < nodes[list].next && left > 0 && !found; left--) {
        size_t size = nodes[item].end - nodes[item].start;
        size_t member = json_member(text, index, item, opening->name, opening->name_length);

        buf_add(scratch, text + nodes[item].start, size < opening->bytes ? size : opening->bytes);
        buf_add_char(scratch, '\0');
        found = member && json_equals(text, index, member, opening->value, opening->value_length);
        item = nodes[item].next;
    }
    both[1] = hash_code(scratch->data, scratch->length);
    buf_clear(scratch);
    return hash_code(both, sizeof both);
}
