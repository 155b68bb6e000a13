/* journal.c - see journal.h. */
#include "store/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/store.h"

enum {
    SLOT_BYTES = 1024,
    SEGMENT_SLOTS = 256,
    SEGMENT_BYTES = SEGMENT_SLOTS * SLOT_BYTES,
    SEGMENTS_MAX = 4096,
    HEAD_BYTES = 28,
};
static const int64_t RETRY_US = 1000000;

/* The first slot is the head of the file. */
static const char title[] = "moongate open rows 1\n";

/* The mark is written last, and is the digest of the rest: what is half written bears a wrong one. 0: it is free. */
struct slot {
    _Atomic uint64_t mark;
    int64_t time;
    int64_t input_tokens;
    uint32_t length; /* of the texts, one NUL behind each */
    char texts[SLOT_BYTES - HEAD_BYTES];
};
_Static_assert(sizeof(struct slot) == SLOT_BYTES, "a slot is as long as the file says");

/* What is kept, and how many bytes of it at most: together they fit a slot. */
static const struct {
    size_t offset;
    size_t most;
} fields[] = {
    { offsetof(struct ledger_row, row_id), ID_LENGTH }, { offsetof(struct ledger_row, request_id), 128 },
    { offsetof(struct ledger_row, org), 96 },           { offsetof(struct ledger_row, key), 96 },
    { offsetof(struct ledger_row, label), 96 },         { offsetof(struct ledger_row, tier), 48 },
    { offsetof(struct ledger_row, surface), 32 },       { offsetof(struct ledger_row, task), 48 },
    { offsetof(struct ledger_row, policy), 128 },       { offsetof(struct ledger_row, provider), 80 },
    { offsetof(struct ledger_row, model), 160 },
};
enum { FIELDS = sizeof fields / sizeof fields[0] };

struct journal {
    char *path;
    int file;

    pthread_mutex_t lock; /* for all below; a segment stays where it is once it is there */
    struct slot *segments[SEGMENTS_MAX];
    uint32_t segment_count;
    uint32_t *free; /* a stack with room for every slot */
    uint32_t free_count;
    bool is_left;
    uint32_t writing; /* slots given out, whose notes are not written yet */
    int64_t grow_at;  /* not before; 0: at any time */
    char problem[320];
};

static const char **text_of(struct ledger_row *row, size_t field)
{
    return (const char **)(void *)((char *)row + fields[field].offset);
}

static struct slot *slot_at(const struct journal *journal, uint32_t slot)
{
    return &journal->segments[slot / SEGMENT_SLOTS][slot % SEGMENT_SLOTS];
}

/* ---- one slot ---- */

/* FNV-1a of what lies behind the mark; never 0. */
static uint64_t digest_of(const struct slot *slot)
{
    const unsigned char *bytes = (const unsigned char *)slot;
    size_t end = offsetof(struct slot, texts) + slot->length;
    uint64_t digest = UINT64_C(0xcbf29ce484222325);

    for (size_t i = sizeof slot->mark; i < end; i++)
        digest = (digest ^ bytes[i]) * UINT64_C(0x100000001b3);
    return digest ? digest : 1;
}

/* A character is not cut in two. */
static size_t clipped(const char *text, size_t most)
{
    size_t length = strnlen(text, most + 1);

    if (length <= most)
        return length;
    for (length = most; length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80;)
        length--;
    return length;
}

static void write_slot(struct slot *slot, const struct ledger_row *given)
{
    struct ledger_row row = *given;
    size_t at = 0;

    for (size_t i = 0; i < FIELDS; i++) {
        const char *text = *text_of(&row, i);
        size_t length = text ? clipped(text, fields[i].most) : 0;

        if (length)
            memcpy(slot->texts + at, text, length);
        slot->texts[at + length] = '\0';
        at += length + 1;
    }
    slot->time = row.time;
    slot->input_tokens = row.input_tokens;
    slot->length = (uint32_t)at;
    atomic_store_explicit(&slot->mark, digest_of(slot), memory_order_release);
}

/* False: it is free, or what is in it was not written to its end. */
static bool read_slot(const struct slot *slot, struct ledger_row *row)
{
    const char *text = slot->texts, *end;
    uint64_t mark = atomic_load_explicit(&slot->mark, memory_order_acquire);

    *row = (struct ledger_row){ .time = slot->time, .input_tokens = slot->input_tokens };
    if (!mark || slot->length > sizeof slot->texts || mark != digest_of(slot))
        return false;
    end = slot->texts + slot->length;
    for (size_t i = 0; i < FIELDS; i++) {
        size_t length = strnlen(text, (size_t)(end - text));

        if (text + length >= end)
            return false;
        *text_of(row, i) = text;
        text += length + 1;
    }
    return *row->row_id != '\0';
}

/* ---- the file ---- */

static void explain(const struct journal *journal, int reason, char *text, size_t size)
{
    errno = reason;
    if (reason == ENOSPC || reason == EDQUOT || reason == EFBIG)
        snprintf(text, size, "the journal of open rows %.200s has no room (%s)", journal->path,
                 reason == ENOSPC ? "the disk is full" : "a limit of the system on its size");
    else if (reason == ENODEV || reason == EOPNOTSUPP || reason == EACCES)
        snprintf(text, size, "the journal %.200s cannot be mapped into memory (%m): put the store on a local disk",
                 journal->path);
    else
        snprintf(text, size, "the journal of open rows %.200s cannot be used (%m)", journal->path);
}

/* Maps one segment more, making it if the file is not as long; 0, or what was wrong. Its slots are not yet given out.
 */
static int map_segment(struct journal *journal)
{
    off_t at = (off_t)journal->segment_count * SEGMENT_BYTES;
    struct slot *segment;
    int failed;

    if (journal->segment_count == SEGMENTS_MAX)
        return EFBIG;
    do
        failed = posix_fallocate(journal->file, at, SEGMENT_BYTES);
    while (failed == EINTR);
    if (failed)
        return failed;
    segment = mmap(NULL, SEGMENT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, journal->file, at);
    if (segment == MAP_FAILED)
        return errno;
    journal->segments[journal->segment_count++] = segment;
    journal->free = mem_resize(journal->free, (size_t)journal->segment_count * SEGMENT_SLOTS * sizeof *journal->free);
    return 0;
}

/* Gives out the slots of the newest segment that hold nothing; the lowest first. How many were not written to their
 * end.
 */
static size_t offer_segment(struct journal *journal)
{
    uint32_t first = (journal->segment_count - 1) * SEGMENT_SLOTS;
    struct ledger_row row;
    size_t broken = 0;

    for (uint32_t slot = first + SEGMENT_SLOTS; slot-- > (first ? first : 1);) {
        struct slot *here = slot_at(journal, slot);

        if (read_slot(here, &row))
            continue;
        broken += atomic_load(&here->mark) != 0;
        atomic_store(&here->mark, 0);
        journal->free[journal->free_count++] = slot;
    }
    return broken;
}

/*
 * Whether the file is a journal, or a new one; then writes its head. One that holds zeros is new: the machine died
 * before they were written over.
 */
static bool check_head(struct journal *journal, char *error, size_t error_size)
{
    static const char zeros[sizeof title];
    char head[sizeof title] = "";
    ssize_t length = pread(journal->file, head, sizeof head, 0);

    if (length >= 0 && memcmp(head, zeros, sizeof head) == 0)
        length = pwrite(journal->file, title, sizeof title, 0);
    else if (length == sizeof head && memcmp(head, title, sizeof title) == 0)
        return true;
    if (length < 0)
        explain(journal, errno, error, error_size);
    else if (length == sizeof title && memcmp(head, zeros, sizeof head) == 0)
        return true;
    else if (memcmp(head, title, sizeof title - 3) == 0)
        snprintf(error, error_size, "the journal %.200s was written by another version of moongate: run that one once",
                 journal->path);
    else
        snprintf(error, error_size,
                 "%.200s is not a journal of open rows: move it away, or give the gateway another `store`",
                 journal->path);
    return false;
}

static bool read_file(struct journal *journal, char *error, size_t error_size)
{
    struct stat found;
    size_t broken = 0;
    int failed = 0;
    char count[24];

    if (!check_head(journal, error, error_size))
        return false;
    if (fstat(journal->file, &found) != 0)
        failed = errno;
    /* A last segment that is cut off (the machine died while it was made) is made whole: what is missing reads as free.
     */
    for (off_t at = 0; !failed && (at == 0 || at < found.st_size); at += SEGMENT_BYTES) {
        failed = map_segment(journal);
        if (!failed)
            broken += offer_segment(journal);
    }
    if (failed) {
        explain(journal, failed, error, error_size);
        return false;
    }
    snprintf(count, sizeof count, "%zu", broken);
    if (broken)
        log_line(LOG_WARN, "open rows in the journal were not written to their end", "file", journal->path, "rows",
                 count, NULL);
    return true;
}

struct journal *journal_open(const char *path, char *error, size_t error_size)
{
    struct journal *journal = mem_zero(sizeof *journal);

    journal->path = mem_text(path);
    pthread_mutex_init(&journal->lock, NULL);
    journal->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
    if (journal->file < 0)
        snprintf(error, error_size, "the journal %.200s cannot be written (%m): give the gateway the right to it",
                 path);
    else if (flock(journal->file, LOCK_EX | LOCK_NB) != 0)
        snprintf(error, error_size, "the journal %.200s is in use by another moongate: stop that one", path);
    else if (read_file(journal, error, error_size))
        return journal;
    journal_close(journal);
    return NULL;
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    /* What a crowd once needed is given back. */
    if (!journal->is_left && journal->segment_count > 1 &&
        journal->free_count == journal->segment_count * SEGMENT_SLOTS - 1 &&
        ftruncate(journal->file, SEGMENT_BYTES) != 0)
        log_line(LOG_WARN, "the journal of open rows keeps its size", "file", journal->path, NULL);
    for (uint32_t i = 0; i < journal->segment_count; i++)
        munmap(journal->segments[i], SEGMENT_BYTES);
    if (journal->file >= 0)
        close(journal->file);
    pthread_mutex_destroy(&journal->lock);
    mem_free(journal->free);
    mem_free(journal->path);
    mem_free(journal);
}

/* ---- rows ---- */

/* Under the lock, when no slot is free. */
static void grow(struct journal *journal)
{
    int64_t now = clock_monotonic_us();
    int failed;

    if (now < journal->grow_at)
        return;
    failed = map_segment(journal);
    if (!failed) {
        offer_segment(journal);
        return;
    }
    journal->grow_at = now + RETRY_US;
    if (!journal->problem[0]) {
        explain(journal, failed, journal->problem, sizeof journal->problem);
        log_line(LOG_ERROR, "requests are not noted before they are sent", "reason", journal->problem, NULL);
    }
}

uint32_t journal_add(struct journal *journal, const struct ledger_row *row)
{
    uint32_t slot = 0;

    pthread_mutex_lock(&journal->lock);
    if (!journal->free_count && !journal->is_left)
        grow(journal);
    if (journal->free_count && !journal->is_left) {
        slot = journal->free[--journal->free_count];
        journal->problem[0] = '\0';
        journal->writing++;
    }
    pthread_mutex_unlock(&journal->lock);
    if (!slot)
        return 0;
    write_slot(slot_at(journal, slot), row);
    pthread_mutex_lock(&journal->lock);
    journal->writing--;
    pthread_mutex_unlock(&journal->lock);
    return slot;
}

void journal_remove(struct journal *journal, uint32_t slot)
{
    if (!slot)
        return;
    pthread_mutex_lock(&journal->lock);
    if (!journal->is_left) /* else its owner has removed it */
        atomic_store_explicit(&slot_at(journal, slot)->mark, 0, memory_order_release);
    journal->free[journal->free_count++] = slot;
    pthread_mutex_unlock(&journal->lock);
}

void journal_leave(struct journal *journal)
{
    bool is_written;

    do {
        pthread_mutex_lock(&journal->lock);
        journal->is_left = true;
        is_written = journal->writing == 0;
        pthread_mutex_unlock(&journal->lock);
        if (!is_written)
            sched_yield();
    } while (!is_written);
    flock(journal->file, LOCK_UN);
}

bool journal_return(struct journal *journal)
{
    /* The other process may have made it shorter. */
    if (flock(journal->file, LOCK_EX | LOCK_NB) != 0 ||
        posix_fallocate(journal->file, 0, (off_t)journal->segment_count * SEGMENT_BYTES) != 0)
        return false;
    pthread_mutex_lock(&journal->lock);
    journal->is_left = false;
    pthread_mutex_unlock(&journal->lock);
    return true;
}

bool journal_each_left(struct journal *journal, bool (*each)(void *arg, uint32_t slot, const struct ledger_row *row),
                       void *arg)
{
    struct ledger_row row;

    for (uint32_t slot = 1; slot < journal->segment_count * SEGMENT_SLOTS; slot++)
        if (read_slot(slot_at(journal, slot), &row) && !each(arg, slot, &row))
            return false;
    return true;
}

bool journal_problem(struct journal *journal, char *text, size_t size)
{
    bool is_there;

    pthread_mutex_lock(&journal->lock);
    is_there = journal->problem[0] != '\0';
    if (is_there)
        snprintf(text, size, "%s: a request under way leaves no row if the gateway is killed", journal->problem);
    pthread_mutex_unlock(&journal->lock);
    return is_there;
}
