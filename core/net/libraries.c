/* libraries.c - see libraries.h. */
#include "net/libraries.h"

#include <cJSON.h>
#include <curl/curl.h>
#include <event2/event.h>
#include <openssl/crypto.h>
#include <stdint.h>

#include "base/mem.h"

static void *zero(size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size)
        return NULL;
    return mem_zero(count * size);
}

static void *alloc_here(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return mem_alloc(size);
}

static void *resize_here(void *block, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    if (size == 0) { /* means free, there */
        mem_free(block);
        return NULL;
    }
    return mem_resize(block, size);
}

static void free_here(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    mem_free(block);
}

void libraries_start(void)
{
    cJSON_Hooks hooks = { mem_alloc, mem_free };

    cJSON_InitHooks(&hooks);
    CRYPTO_set_mem_functions(alloc_here, resize_here, free_here);
    event_set_mem_functions(mem_alloc, mem_resize, mem_free);
    curl_global_init_mem(CURL_GLOBAL_ALL, mem_alloc, mem_free, mem_resize, mem_text, zero);
}

void libraries_stop(void)
{
    curl_global_cleanup();
}
