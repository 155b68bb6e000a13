/* head.c - fuzz target: the parts of a request's head by themselves: its first line, its target, its host. */
#include "fuzz.h"

#include <string.h>

#include "base/mem.h"
#include "net/request_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *message = NULL, *path, *query;
    char *copy = mem_zero(size + 1), *target;
    int status = request_head_check(text, size, 256, &message);

    if (size > 0)
        memcpy(copy, data, size);
    fuzz_promise(status == 0 || message != NULL, "a refusal says why");
    fuzz_promise(status != 0 || (memchr(text, '\r', size) == NULL && memchr(text, '\0', size) == NULL),
                 "a first line holds no control characters");
    target = request_head_split(text, size, &path, &query);
    if (target && !memchr(text, '\0', size)) {
        fuzz_promise(strlen(path) <= size, "a path is not longer than it was sent");
        fuzz_promise(strlen(query) <= size, "nor is a query");
        fuzz_promise(strlen(target) == size, "the target is as it was sent");
    }
    mem_free(target);
    if (request_head_is_host(copy))
        fuzz_promise(strpbrk(copy, " \t\r\n/@\"<>\\") == NULL, "a host is a host");
    mem_free(copy);
    return 0;
}
