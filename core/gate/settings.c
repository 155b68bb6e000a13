/* settings.c - see settings.h. */
#include "gate/settings.h"

#include <stdlib.h>
#include <string.h>

#include <cJSON.h>

#include "base/mem.h"
#include "gate/spending.h"

static const char *text_of(const cJSON *object, const char *name)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsString(member) ? member->valuestring : NULL;
}

static double number_of(const cJSON *object, const char *name, double otherwise)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsNumber(member) ? member->valuedouble : otherwise;
}

static bool is_true(const cJSON *object, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct settings_target *)a)->id, ((const struct settings_target *)b)->id);
}

/* Room that was reckoned beforehand is handed out bit by bit. */
static const char *keep(char **room, const char *text, size_t length)
{
    char *kept = *room;

    if (!text)
        return NULL;
    memcpy(kept, text, length);
    kept[length] = '\0';
    *room += length + 1;
    return kept;
}

static const char *keep_text(char **room, const char *text)
{
    return keep(room, text, text ? strlen(text) : 0);
}

static size_t room_of(const cJSON *targets)
{
    static const char *const names[] = { "id", "base_url", "upstream_id" };
    const cJSON *item;
    size_t room = 0;

    cJSON_ArrayForEach(item, targets)
    {
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            const char *text = text_of(item, names[i]);

            room += text ? strlen(text) + 1 : 0;
        }
    }
    return room;
}

static struct settings_target read_target(const cJSON *item, char **room)
{
    return (struct settings_target){
        .id = keep_text(room, text_of(item, "id")),
        .base_url = keep_text(room, text_of(item, "base_url")),
        .upstream_id = keep_text(room, text_of(item, "upstream_id")),
        .is_named_by_path = is_true(item, "is_named_by_path"),
        .is_local = is_true(item, "is_local"),
        .costs_nothing = is_true(item, "costs_nothing"),
    };
}

/* Rows of a model table: "0 small\n", the number of a kind and a model; the id of a kind is its provider's name. */
static void read_rows(struct settings *settings, const char *lines, const struct settings_target *kinds, size_t count,
                      char **room)
{
    const char *end;

    for (const char *line = lines; *line && (end = strchr(line, '\n')); line = end + 1) {
        struct settings_target *target = &settings->targets[settings->target_count];
        size_t digits = strspn(line, "0123456789"), kind = digits ? strtoul(line, NULL, 10) : count;
        const char *model = line + digits + 1;

        if (kind >= count || line[digits] != ' ')
            continue;
        *target = kinds[kind];
        target->id = keep(room, target->id, strlen(target->id));
        (*room)[-1] = '/';
        target->upstream_id = keep(room, model, (size_t)(end - model));
        settings->target_count++;
    }
}

static void read_targets(struct settings *settings, const cJSON *root)
{
    const cJSON *targets = cJSON_GetObjectItemCaseSensitive(root, "targets"), *item;
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(root, "rows");
    const cJSON *kinds = cJSON_GetObjectItemCaseSensitive(rows, "kinds");
    const char *lines = text_of(rows, "lines");
    size_t count = (size_t)cJSON_GetArraySize(targets), kind_count = 0, lines_count = 0, longest = 0;
    struct settings_target *kind = mem_zero((size_t)cJSON_GetArraySize(kinds) * sizeof *kind);
    char *room;

    cJSON_ArrayForEach(item, kinds)
    {
        const char *id = text_of(item, "id");

        longest = id && strlen(id) > longest ? strlen(id) : longest;
    }
    for (const char *at = lines; at && (at = strchr(at, '\n')); at++)
        lines_count++;
    settings->targets = mem_zero((count + lines_count) * sizeof *settings->targets);
    room = settings->texts =
        mem_alloc(room_of(targets) + room_of(kinds) + (lines ? strlen(lines) : 0) + lines_count * (longest + 1) + 1);
    cJSON_ArrayForEach(item, targets)
    {
        if (text_of(item, "id"))
            settings->targets[settings->target_count++] = read_target(item, &room);
    }
    cJSON_ArrayForEach(item, kinds)
    {
        if (text_of(item, "id"))
            kind[kind_count++] = read_target(item, &room);
    }
    if (lines)
        read_rows(settings, lines, kind, kind_count, &room);
    mem_free(kind);
    qsort(settings->targets, settings->target_count, sizeof *settings->targets, by_id);
}

static void read_listen(struct settings *settings, const cJSON *listen)
{
    const cJSON *item;

    settings->doors = mem_zero((size_t)cJSON_GetArraySize(listen) * sizeof *settings->doors);
    cJSON_ArrayForEach(item, listen)
    {
        struct settings_door *door = &settings->doors[settings->door_count];

        if (!text_of(item, "addr"))
            continue;
        door->address = mem_text(text_of(item, "addr"));
        door->chain = mem_text(text_of(item, "cert"));
        door->key = mem_text(text_of(item, "key"));
        settings->door_count++;
    }
}

struct settings *settings_parse(const char *json)
{
    cJSON *root = cJSON_Parse(json);
    const cJSON *limits;
    struct settings *settings;

    if (!root)
        return NULL;
    settings = mem_zero(sizeof *settings);
    settings->references = 1;
    settings->json = mem_text(json);
    limits = cJSON_GetObjectItemCaseSensitive(root, "limits");
    settings->workers = (int)number_of(root, "workers", 1);
    settings->store = mem_text(text_of(root, "store"));
    settings->retention_days = (int64_t)number_of(root, "retention_days", 0);
    settings->policies = mem_text(text_of(root, "policies"));
    settings->policies_label = mem_text(text_of(root, "policies_label"));
    settings->zero_spend = is_true(root, "zero_spend");
    settings->is_confined = is_true(root, "seccomp");
    settings->is_compiled = is_true(root, "jit");
    settings->spending = spending_new(cJSON_GetObjectItemCaseSensitive(root, "spending"));
    settings->keyless = is_true(root, "keyless");
    settings->log_level = (int)number_of(root, "log_level", 1);
    settings->log_file = mem_text(text_of(root, "log_file"));
    settings->log_json = is_true(root, "log_json");
    settings->log_text = is_true(root, "log_text");
    settings->drain_s = number_of(limits, "drain_s", 30);
    settings->client = (struct client_limits){
        .target_bytes = 8 * 1024,
        .header_bytes = 64 * 1024,
        .header_count = 128,
        .body_bytes = (size_t)number_of(limits, "body_bytes", 10 * 1024 * 1024),
        .output_bytes = 64 * 1024,
        .header_s = number_of(limits, "header_s", 10),
        .body_s = number_of(limits, "body_s", 30),
        .idle_s = number_of(limits, "idle_s", 75),
        .write_s = 60,
    };
    read_listen(settings, cJSON_GetObjectItemCaseSensitive(root, "listen"));
    read_targets(settings, root);
    cJSON_Delete(root);
    return settings;
}

const struct settings_target *settings_target(const struct settings *settings, const char *id)
{
    struct settings_target wanted = { .id = id };

    return bsearch(&wanted, settings->targets, settings->target_count, sizeof wanted, by_id);
}

struct settings *settings_take(struct settings *settings)
{
    __atomic_add_fetch(&settings->references, 1, __ATOMIC_RELAXED);
    return settings;
}

void settings_drop(struct settings *settings)
{
    if (!settings || __atomic_sub_fetch(&settings->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (size_t i = 0; i < settings->door_count; i++) {
        mem_free(settings->doors[i].address);
        mem_free(settings->doors[i].chain);
        mem_free(settings->doors[i].key);
    }
    mem_free(settings->texts);
    spending_free(settings->spending);
    mem_free(settings->doors);
    mem_free(settings->log_file);
    mem_free(settings->targets);
    mem_free(settings->store);
    mem_free(settings->policies);
    mem_free(settings->policies_label);
    mem_free(settings->json);
    mem_free(settings);
}
