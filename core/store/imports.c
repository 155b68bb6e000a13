/* imports.c - see imports.h. */
#include "store/imports.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"

/* Of all that was ever changed, what so many imports did. */
enum { IMPORTS_KEPT = 1000 };

struct imports {
    pthread_mutex_t lock;
    struct store_import **sources; /* by name, without changes */
    size_t source_count;
    struct store_import *ring[IMPORTS_KEPT]; /* without models */
    size_t count;                            /* ever added */
};

struct imports *imports_new(void)
{
    struct imports *imports = mem_zero(sizeof *imports);

    pthread_mutex_init(&imports->lock, NULL);
    return imports;
}

void imports_free(struct imports *imports)
{
    if (!imports)
        return;
    for (size_t i = 0; i < imports->source_count; i++)
        mem_free(imports->sources[i]);
    for (size_t i = 0; i < IMPORTS_KEPT; i++)
        mem_free(imports->ring[i]);
    mem_free(imports->sources);
    pthread_mutex_destroy(&imports->lock);
    mem_free(imports);
}

static const char *keep(char **room, const char *text)
{
    size_t size = strlen(text) + 1;
    const char *kept = memcpy(*room, text, size);

    *room += size;
    return kept;
}

struct store_import *imports_copy(const struct store_import *import)
{
    const char *models = import->models ? import->models : "", *changes = import->changes ? import->changes : "";
    size_t size = strlen(import->source) + strlen(models) + strlen(changes) + 3;
    struct store_import *copy = mem_alloc(sizeof *copy + size);
    char *room = (char *)(copy + 1);

    copy->time = import->time;
    copy->source = keep(&room, import->source);
    copy->models = keep(&room, models);
    copy->changes = keep(&room, changes);
    return copy;
}

/* The place of that source; a new one keeps the order of names. */
static struct store_import **place_of(struct imports *imports, const char *source)
{
    size_t at = 0;

    while (at < imports->source_count && strcmp(imports->sources[at]->source, source) < 0)
        at++;
    if (at < imports->source_count && strcmp(imports->sources[at]->source, source) == 0)
        return &imports->sources[at];
    imports->sources = mem_resize(imports->sources, (imports->source_count + 1) * sizeof *imports->sources);
    memmove(&imports->sources[at + 1], &imports->sources[at], (imports->source_count - at) * sizeof *imports->sources);
    imports->source_count++;
    imports->sources[at] = NULL;
    return &imports->sources[at];
}

void imports_add(struct imports *imports, const struct store_import *import)
{
    struct store_import models = *import, changes = *import, **place;

    models.changes = NULL;
    changes.models = NULL;
    pthread_mutex_lock(&imports->lock);
    place = place_of(imports, import->source);
    mem_free(*place);
    *place = imports_copy(&models);
    if (import->changes && *import->changes) {
        place = &imports->ring[imports->count++ % IMPORTS_KEPT];
        mem_free(*place);
        *place = imports_copy(&changes);
    }
    pthread_mutex_unlock(&imports->lock);
}

void imports_each_source(struct imports *imports, void (*each)(void *arg, const struct store_import *), void *arg)
{
    pthread_mutex_lock(&imports->lock);
    for (size_t i = 0; i < imports->source_count; i++)
        each(arg, imports->sources[i]);
    pthread_mutex_unlock(&imports->lock);
}

void imports_each(struct imports *imports, int64_t since, void (*each)(void *arg, const struct store_import *),
                  void *arg)
{
    pthread_mutex_lock(&imports->lock);
    for (size_t i = imports->count > IMPORTS_KEPT ? imports->count - IMPORTS_KEPT : 0; i < imports->count; i++)
        if (imports->ring[i % IMPORTS_KEPT]->time >= since)
            each(arg, imports->ring[i % IMPORTS_KEPT]);
    pthread_mutex_unlock(&imports->lock);
}
