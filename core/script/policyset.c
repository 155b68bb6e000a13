/* policyset.c - see policyset.h. Filled by one thread, then never changed; the last of its users frees it. */
#include "script/policyset.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/mem.h"
#include "script/vm.h"

enum { FILE_BYTES = 1024 * 1024, FILES = 1000, LEVELS = 4 };

/* What policyset_new really makes. */
struct counted {
    struct policyset set;
    size_t capacity;
    atomic_int users;
};

struct reading {
    struct policyset *set;
    char *error;
    size_t error_size;
};

struct policyset *policyset_new(void)
{
    struct counted *counted = mem_zero(sizeof *counted);

    atomic_init(&counted->users, 1);
    return &counted->set;
}

struct policyset *policyset_take(struct policyset *set)
{
    atomic_fetch_add(&((struct counted *)set)->users, 1);
    return set;
}

void policyset_drop(struct policyset *set)
{
    if (!set || atomic_fetch_sub(&((struct counted *)set)->users, 1) > 1)
        return;
    for (size_t i = 0; i < set->count; i++) {
        mem_free(set->files[i].path);
        mem_free(set->files[i].text);
    }
    mem_free(set->files);
    mem_free(set);
}

static void make_version(char version[static 9], const char *text, size_t length)
{
    unsigned char digest[EVP_MAX_MD_SIZE];

    if (!EVP_Digest(text, length, digest, NULL, EVP_sha256(), NULL)) {
        fputs("moongate: no SHA-256 in libcrypto\n", stderr);
        abort();
    }
    snprintf(version, 9, "%02x%02x%02x%02x", digest[0], digest[1], digest[2], digest[3]);
}

void policyset_add(struct policyset *set, const char *path, const char *text, size_t length)
{
    struct counted *counted = (struct counted *)set;
    struct policy_file *file;
    size_t place = set->count;

    if (set->count == counted->capacity) {
        counted->capacity = counted->capacity ? counted->capacity * 2 : 16;
        set->files = mem_resize(set->files, counted->capacity * sizeof *set->files);
    }
    while (place > 0 && strcmp(set->files[place - 1].path, path) > 0)
        place--;
    file = &set->files[place];
    memmove(file + 1, file, (set->count - place) * sizeof *file);
    set->count++;
    file->path = mem_text(path);
    file->text = mem_copy(text, length);
    file->length = length;
    make_version(file->version, text, length);
}

static bool is_lua(const char *name)
{
    size_t length = strlen(name);

    return length > 4 && strcmp(name + length - 4, ".lua") == 0;
}

/* The whole file in out; false with errno. One byte more than allowed is read, to see that it is too long. */
static bool read_file(int folder, const char *name, struct buf *out)
{
    int file = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK), saved;
    ssize_t got = -1;

    if (file < 0)
        return false;
    buf_clear(out);
    buf_reserve(out, 4096);
    while (out->length <= FILE_BYTES) {
        got = read(file, out->data + out->length, out->capacity - out->length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        out->length += (size_t)got;
        buf_reserve(out, 4096);
    }
    saved = errno;
    close(file);
    errno = saved;
    return got >= 0;
}

static bool fail(struct reading *reading, const char *path, const char *why)
{
    snprintf(reading->error, reading->error_size, "%s: %s", path, why);
    return false;
}

static bool read_folder(struct reading *reading, int above, const char *name, const char *below, int level);

/* One entry of a folder; full is its path below the policies folder. */
static bool read_entry(struct reading *reading, int folder, const char *name, const char *full, int level)
{
    struct buf text = { 0 };
    struct stat about;
    bool fine = true;

    /* Through symbolic links: mounted configuration is made of them. What has gone meanwhile is not there. */
    if (fstatat(folder, name, &about, 0) < 0)
        return errno == ENOENT || errno == ELOOP || fail(reading, full, strerrordesc_np(errno));
    if (S_ISDIR(about.st_mode)) {
        if (level == LEVELS)
            return fail(reading, full, "folders of policies may be nested 4 deep");
        return read_folder(reading, folder, name, full, level + 1);
    }
    if (!S_ISREG(about.st_mode) || !is_lua(name))
        return true;
    if (!read_file(folder, name, &text))
        fine = errno == ENOENT || fail(reading, full, strerrordesc_np(errno));
    else if (text.length > FILE_BYTES)
        fine = fail(reading, full, "a policy file may have 1 MiB at most");
    else if (reading->set->count == FILES)
        fine = fail(reading, full, "there may be 1000 policy files at most");
    else
        policyset_add(reading->set, full, text.data, text.length);
    buf_free(&text);
    return fine;
}

static bool read_folder(struct reading *reading, int above, const char *name, const char *below, int level)
{
    int folder = openat(above, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = folder < 0 ? NULL : fdopendir(folder);
    struct dirent *entry;
    bool fine = true;

    if (!entries) {
        fine = fail(reading, *below ? below : name, strerrordesc_np(errno));
        if (folder >= 0)
            close(folder);
        return fine;
    }
    /* Safe where every thread has its own folder open, as here. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while (fine && (entry = readdir(entries))) {
        char *full;

        if (entry->d_name[0] == '.')
            continue;
        full = mem_format("%s%s%s", below, *below ? "/" : "", entry->d_name);
        fine = read_entry(reading, folder, entry->d_name, full, level);
        mem_free(full);
    }
    closedir(entries);
    return fine;
}

struct policyset *policyset_read(const char *folder, char *error, size_t error_size)
{
    struct reading reading = { .set = policyset_new(), .error = error, .error_size = error_size };

    if (read_folder(&reading, AT_FDCWD, folder, "", 0))
        return reading.set;
    policyset_drop(reading.set);
    return NULL;
}

struct policyset *policyset_builtin(void)
{
    static const char folder[] = "policies/";
    struct policyset *set = policyset_new();

    for (const struct vm_source *source = vm_sources; source->name; source++)
        if (strncmp(source->name, folder, strlen(folder)) == 0)
            policyset_add(set, source->name + strlen(folder), source->text, source->length);
    return set;
}
