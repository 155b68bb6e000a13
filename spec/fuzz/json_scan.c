/* json_scan.c - fuzz target: bodies. What is let through is JSON to cJSON as well, and its index is in order. */
#include "fuzz.h"

#include <cJSON.h>
#include <string.h>

#include "base/buf.h"
#include "base/json_scan.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { DEPTH = 32 };

static void check_index(const char *text, size_t size, const struct json_index *index)
{
    for (size_t i = 0; i < index->count; i++) {
        const struct json_node *node = &index->nodes[i];
        struct buf plain = { 0 };

        fuzz_promise(node->start < node->end && node->end <= size, "a value lies in its text");
        fuzz_promise(node->next > i && node->next <= index->count, "the next value lies behind it");
        if (node->type != JSON_STRING)
            continue;
        fuzz_promise(text[node->start] == '"' && text[node->end - 1] == '"', "a string has its quotes");
        json_unescape(text, node, &plain);
        fuzz_promise(plain.length <= node->end - node->start - 2, "a string is not longer than it was written");
        fuzz_promise(plain.length == 0 || !memchr(plain.data, '\0', plain.length), "there is no NUL in it");
        fuzz_promise(json_equals(text, index, i, plain.data ? plain.data : "", plain.length), "it equals itself");
        if (node->name && i > 0)
            fuzz_promise(plain.length == 0 || json_member(text, index, 0, plain.data, plain.length) <= index->count,
                         "a member is one of the index");
        buf_free(&plain);
    }
}

/* Folded, it is the same text: each node has one like it, inside of what is opened too. */
static void check_folded(const char *text, const struct json_index *whole, struct json_index *folded, size_t at,
                         size_t other)
{
    const struct json_node *node = &whole->nodes[at], *its = &folded->nodes[other];
    size_t end;

    fuzz_promise(node->start == its->start && node->end == its->end && node->size == its->size &&
                     node->type == its->type && node->levels == its->levels,
                 "a folded text has the same values");
    fuzz_promise(json_string_bytes(whole->nodes, at, node->next) == json_string_bytes(folded->nodes, other, its->next),
                 "and as many bytes of strings");
    if (node->type != JSON_ARRAY && node->type != JSON_OBJECT)
        return;
    other = json_open(text, folded, other);
    end = folded->nodes[other].next;
    for (at++, other++; at < node->next; at = whole->nodes[at].next, other = folded->nodes[other].next) {
        fuzz_promise(other < end, "and as many of them");
        check_folded(text, whole, folded, at, other);
    }
    fuzz_promise(other == end, "and no more");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct json_index index = { 0 }, folded = { 0 };
    struct json_fault fault = { 0 }, same = { 0 };
    bool folds = json_scan_folding(text, size, DEPTH, &folded, &same);
    char *copy;
    cJSON *other;

    if (!json_scan(text, size, DEPTH, &index, &fault)) {
        fuzz_promise(fault.message && fault.offset <= size && fault.line > 0 && fault.column > 0,
                     "a fault says where and why");
        fuzz_promise(!folds && same.offset == fault.offset && same.message == fault.message, "folded or not");
        json_index_free(&folded);
        json_index_free(&index);
        return 0;
    }
    check_index(text, size, &index);
    fuzz_promise(folds, "it is well-formed, folded or not");
    check_folded(text, &index, &folded, 0, 0);
    json_index_free(&folded);
    copy = mem_zero(size + 1);
    memcpy(copy, data, size);
    other = cJSON_ParseWithLengthOpts(copy, size + 1, NULL, 1);
    fuzz_promise(other != NULL, "it is JSON to others too");
    cJSON_Delete(other);
    mem_free(copy);
    json_index_free(&index);
    return 0;
}
