/* stamp.c - see stamp.h. */
#include "net/stamp.h"

#include <sys/stat.h>

struct stamp stamp_of(const char *path)
{
    struct stat found;

    if (stat(path, &found) != 0)
        return (struct stamp){ .size = -1 };
    return (struct stamp){ found.st_dev, found.st_ino, found.st_size, found.st_mtim };
}

bool stamp_is_same(const struct stamp *one, const struct stamp *other)
{
    return one->device == other->device && one->number == other->number && one->size == other->size &&
           one->changed.tv_sec == other->changed.tv_sec && one->changed.tv_nsec == other->changed.tv_nsec;
}
