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

static void read_targets(struct settings *settings, const cJSON *targets)
{
    const cJSON *item;

    settings->targets = mem_zero((size_t)cJSON_GetArraySize(targets) * sizeof *settings->targets);
    cJSON_ArrayForEach(item, targets)
    {
        struct settings_target *target = &settings->targets[settings->target_count];
        const char *id = text_of(item, "id");

        if (!id)
            continue;
        target->id = mem_text(id);
        target->base_url = mem_text(text_of(item, "base_url"));
        target->upstream_id = mem_text(text_of(item, "upstream_id"));
        target->is_named_by_path = is_true(item, "is_named_by_path");
        target->is_local = is_true(item, "is_local");
        target->costs_nothing = is_true(item, "costs_nothing");
        settings->target_count++;
    }
    qsort(settings->targets, settings->target_count, sizeof *settings->targets, by_id);
}

static void read_listen(struct settings *settings, const cJSON *listen)
{
    const cJSON *item;

    settings->listen = mem_zero((size_t)cJSON_GetArraySize(listen) * sizeof *settings->listen);
    cJSON_ArrayForEach(item, listen)
    {
        const char *address = text_of(item, "addr");

        if (address)
            settings->listen[settings->listen_count++] = mem_text(address);
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
    settings->spending = spending_new(cJSON_GetObjectItemCaseSensitive(root, "spending"));
    settings->keyless = is_true(root, "keyless");
    settings->log_level = (int)number_of(root, "log_level", 1);
    settings->log_json = is_true(root, "log_json");
    settings->log_text = is_true(root, "log_text");
    settings->drain_s = number_of(limits, "drain_s", 30);
    settings->client = (struct client_limits){
        .target_bytes = 8 * 1024,
        .header_bytes = 64 * 1024,
        .header_count = 128,
        .body_bytes = (size_t)number_of(limits, "body_bytes", 10 * 1024 * 1024),
        .output_bytes = 256 * 1024,
        .header_s = number_of(limits, "header_s", 10),
        .body_s = number_of(limits, "body_s", 30),
        .idle_s = number_of(limits, "idle_s", 75),
        .write_s = 60,
    };
    read_listen(settings, cJSON_GetObjectItemCaseSensitive(root, "listen"));
    read_targets(settings, cJSON_GetObjectItemCaseSensitive(root, "targets"));
    cJSON_Delete(root);
    return settings;
}

const struct settings_target *settings_target(const struct settings *settings, const char *id)
{
    struct settings_target wanted = { .id = (char *)id };

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
    for (size_t i = 0; i < settings->listen_count; i++)
        mem_free(settings->listen[i]);
    for (size_t i = 0; i < settings->target_count; i++) {
        mem_free(settings->targets[i].id);
        mem_free(settings->targets[i].base_url);
        mem_free(settings->targets[i].upstream_id);
    }
    spending_free(settings->spending);
    mem_free(settings->listen);
    mem_free(settings->targets);
    mem_free(settings->store);
    mem_free(settings->policies);
    mem_free(settings->policies_label);
    mem_free(settings->json);
    mem_free(settings);
}
