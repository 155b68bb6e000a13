/* replay.c - runs a fuzz target over the files that are named, once each; for `make test`, where no clang is needed. */
#include "fuzz.h"

int main(int count, char **names)
{
    for (int i = 1; i < count; i++) {
        FILE *file = fopen(names[i], "rb");
        long size;
        char *bytes;

        fprintf(stderr, "%s\n", names[i]);
        if (!file || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0)
            return 1;
        rewind(file);
        /* Of exactly that size, so that a sanitizer sees a read behind it. */
        bytes = malloc(size ? (size_t)size : 1);
        if (!bytes || fread(bytes, 1, (size_t)size, file) != (size_t)size)
            return 1;
        fclose(file);
        LLVMFuzzerTestOneInput((const uint8_t *)bytes, (size_t)size);
        free(bytes);
    }
    return 0;
}
