/* spending.c - see spending.h. Names are compared as the laxest reader upstream would: without case, "_" and "-". */
#include "gate/spending.h"

#include <stdbool.h>
#include <string.h>

#include <cJSON.h>

#include "base/buf.h"
#include "base/json_scan.h"
#include "base/mem.h"

enum { DEPTH = 256, NAME = 128 };

struct texts {
    char **items;
    size_t count;
};

/* Of the values at the end of the path: what each must be. */
struct rule {
    struct texts steps; /* names of members, folded; "[]": each item of an array */
    struct texts values;
    bool is_names; /* values are the names of the members it may have, folded */
    bool is_model; /* it must be the target's name */
    char *refusal;
};

struct spending {
    struct rule *rules;
    size_t count;
};

/* A body under the eyes of one rule. */
struct look {
    const char *text;
    struct json_index index;
    const struct rule *rule;
    const char *model;
    bool has_prefix; /* the model's name may stand behind "models/" */
};

static struct texts read_texts(const cJSON *list)
{
    struct texts texts = { .items = mem_zero(((size_t)cJSON_GetArraySize(list) + 1) * sizeof(char *)) };
    const cJSON *item;

    cJSON_ArrayForEach(item, list)
    {
        if (cJSON_IsString(item))
            texts.items[texts.count++] = mem_text(item->valuestring);
    }
    return texts;
}

static void free_texts(struct texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        mem_free(texts->items[i]);
    mem_free(texts->items);
}

struct spending *spending_new(const struct cJSON *rules)
{
    struct spending *spending = mem_zero(sizeof *spending);
    const cJSON *item;

    spending->rules = mem_zero(((size_t)cJSON_GetArraySize(rules) + 1) * sizeof *spending->rules);
    cJSON_ArrayForEach(item, rules)
    {
        struct rule *rule = &spending->rules[spending->count++];
        const cJSON *names = cJSON_GetObjectItemCaseSensitive(item, "names");
        const cJSON *refusal = cJSON_GetObjectItemCaseSensitive(item, "refusal");

        rule->steps = read_texts(cJSON_GetObjectItemCaseSensitive(item, "steps"));
        rule->values = read_texts(names ? names : cJSON_GetObjectItemCaseSensitive(item, "values"));
        rule->is_names = names != NULL;
        rule->is_model = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(item, "model"));
        rule->refusal = mem_text(cJSON_IsString(refusal) ? refusal->valuestring : "zero_spend is on");
    }
    return spending;
}

void spending_free(struct spending *spending)
{
    if (!spending)
        return;
    for (size_t i = 0; i < spending->count; i++) {
        free_texts(&spending->rules[i].steps);
        free_texts(&spending->rules[i].values);
        mem_free(spending->rules[i].refusal);
    }
    mem_free(spending->rules);
    mem_free(spending);
}

/* Length of what folds to the letter in *folded at text: one byte, or the two letters beyond ASCII whose case is one
 * within it (long s, Kelvin). */
static size_t fold_letter(const char *text, size_t left, char *folded)
{
    *folded = *text;
    if (left >= 2 && memcmp(text, "\xc5\xbf", 2) == 0) {
        *folded = 's';
        return 2;
    }
    if (left >= 3 && memcmp(text, "\xe2\x84\xaa", 3) == 0) {
        *folded = 'k';
        return 3;
    }
    if (*text >= 'A' && *text <= 'Z')
        *folded = (char)(*text + 'a' - 'A');
    return 1;
}

/* False: the name is longer than any that is looked for. */
static bool fold(const char *text, size_t length, char folded[NAME])
{
    size_t at = 0, count = 0;

    while (at < length && count < NAME - 1) {
        at += fold_letter(text + at, length - at, &folded[count]);
        if (folded[count] != '_' && folded[count] != '-')
            count++;
    }
    folded[count] = '\0';
    return at >= length;
}

static bool is_named(const struct look *look, size_t node, const char *wanted)
{
    const struct json_node *name = &look->index.nodes[node];
    struct buf plain = { 0 };
    char folded[NAME];
    bool fits;

    if (!name->escaped)
        return fold(look->text + name->start + 1, name->end - name->start - 2, folded) && strcmp(folded, wanted) == 0;
    json_unescape(look->text, name, &plain);
    fits = fold(plain.data, plain.length, folded) && strcmp(folded, wanted) == 0;
    buf_free(&plain);
    return fits;
}

static bool has_only_names(const struct look *look, size_t node)
{
    const struct json_node *nodes = look->index.nodes;

    if (nodes[node].type != JSON_OBJECT)
        return false;
    for (size_t name = node + 1; name < nodes[node].next; name = nodes[name + 1].next) {
        bool known = false;

        for (size_t i = 0; i < look->rule->values.count && !known; i++)
            known = is_named(look, name, look->rule->values.items[i]);
        if (!known)
            return false;
    }
    return true;
}

static bool is_model(const struct look *look, size_t node)
{
    static const char prefix[] = "models/";
    struct buf name = { 0 };
    const char *plain;
    bool fits;

    if (look->index.nodes[node].type != JSON_STRING)
        return false;
    json_unescape(look->text, &look->index.nodes[node], &name);
    plain = buf_text_of(&name);
    fits = strcmp(plain, look->model) == 0 || (look->has_prefix && strncmp(plain, prefix, sizeof prefix - 1) == 0 &&
                                               strcmp(plain + sizeof prefix - 1, look->model) == 0);
    buf_free(&name);
    return fits;
}

/* A string is one of the values; anything else is one of them as it is written. */
static bool is_value(const struct look *look, size_t node)
{
    const struct json_node *value = &look->index.nodes[node];

    for (size_t i = 0; i < look->rule->values.count; i++) {
        const char *wanted = look->rule->values.items[i];
        size_t length = strlen(wanted);

        if (value->type == JSON_STRING && json_equals(look->text, &look->index, node, wanted, length))
            return true;
        if (value->type != JSON_STRING && value->end - value->start == length &&
            memcmp(look->text + value->start, wanted, length) == 0)
            return true;
    }
    return false;
}

/* Whether all that the rule's steps from `step` on lead to is as the rule wants it. As deep as the rule is long. */
static bool keeps(const struct look *look, size_t step, size_t node) // NOLINT(misc-no-recursion)
{
    const struct json_node *nodes = look->index.nodes;
    const struct texts *steps = &look->rule->steps;

    if (nodes[node].type == JSON_NULL)
        return true;
    if (step == steps->count)
        return look->rule->is_names   ? has_only_names(look, node)
               : look->rule->is_model ? is_model(look, node)
                                      : is_value(look, node);
    if (strcmp(steps->items[step], "[]") == 0) {
        if (nodes[node].type != JSON_ARRAY)
            return keeps(look, step + 1, node); /* as lax readers do: one for a list of one */
        for (size_t item = node + 1; item < nodes[node].next; item = nodes[item].next) {
            if (!keeps(look, step + 1, item))
                return false;
        }
        return true;
    }
    if (nodes[node].type != JSON_OBJECT)
        return true;
    for (size_t name = node + 1; name < nodes[node].next; name = nodes[name + 1].next) {
        if (is_named(look, name, steps->items[step]) && !keeps(look, step + 1, name + 1))
            return false;
    }
    return true;
}

const char *spending_refuses(const struct spending *spending, const char *body, size_t length, const char *model,
                             int named_by_path)
{
    struct look look = { .text = body, .model = model, .has_prefix = named_by_path };
    const char *reason = NULL;
    struct json_fault fault;
    size_t named;

    if (!body || !json_scan(body, length, DEPTH, &look.index, &fault) || look.index.nodes[0].type != JSON_OBJECT) {
        reason = "zero_spend is on and the body is not a JSON object, so nobody can tell what it spends";
        goto out;
    }
    named = json_member(body, &look.index, 0, "model", sizeof "model" - 1);
    if (!named_by_path && (named == 0 || look.index.nodes[named].type != JSON_STRING)) {
        reason = "zero_spend is on and the body names no model";
        goto out;
    }
    for (size_t i = 0; i < spending->count && !reason; i++) {
        look.rule = &spending->rules[i];
        if (!keeps(&look, 0, 0))
            reason = look.rule->refusal;
    }
out:
    json_index_free(&look.index);
    return reason;
}
