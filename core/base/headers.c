/* headers.c - see headers.h. */
#include "base/headers.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"

void headers_add_bytes(struct headers *headers, const char *name, size_t name_length, const char *value,
                       size_t value_length)
{
    struct header *field;

    if (headers->count == headers->capacity) {
        headers->capacity = headers->capacity ? headers->capacity * 2 : 16;
        headers->fields = mem_resize(headers->fields, headers->capacity * sizeof *headers->fields);
    }
    field = &headers->fields[headers->count++];
    /* One block for both: the name comes first and owns it. */
    field->name = mem_alloc(name_length + value_length + 2);
    memcpy(field->name, name, name_length);
    field->name[name_length] = '\0';
    field->value = field->name + name_length + 1;
    memcpy(field->value, value, value_length);
    field->value[value_length] = '\0';
}

void headers_add(struct headers *headers, const char *name, const char *value)
{
    headers_add_bytes(headers, name, strlen(name), value, strlen(value));
}

const char *headers_get(const struct headers *headers, const char *name)
{
    for (size_t i = 0; i < headers->count; i++)
        if (strcasecmp(headers->fields[i].name, name) == 0)
            return headers->fields[i].value;
    return NULL;
}

size_t headers_count(const struct headers *headers, const char *name)
{
    size_t count = 0;

    for (size_t i = 0; i < headers->count; i++)
        count += strcasecmp(headers->fields[i].name, name) == 0;
    return count;
}

bool headers_is_clean(const char *value, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)value[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

bool headers_is_token(const char *name, size_t length)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < length; i++) {
        char c = name[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c && strchr(marks, c))))
            return false;
    }
    return length > 0;
}

void headers_free(struct headers *headers)
{
    for (size_t i = 0; i < headers->count; i++)
        mem_free(headers->fields[i].name);
    mem_free(headers->fields);
    *headers = (struct headers){ 0 };
}
