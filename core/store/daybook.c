/* daybook.c - see daybook.h. */
#include "store/daybook.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/piece.h"

enum { PAGE_BYTES = 512 * 1024, PAGES_MAX = 256, ALIGNED = 8 };

static const char title[ALIGNED] = "daybook1";

enum kind { ROW = 1, COUNTER = 2 };

/* The mark is written last: a sum of the rest that begins with the page's number, so that what was left on a page
 * that is used again bears a wrong one.
 */
struct entry {
    _Atomic uint64_t mark;
    uint32_t kind;
    uint32_t length; /* of what follows */
    char bytes[];
};

struct page {
    char title[ALIGNED];
    _Atomic uint64_t number; /* counts up; 0: it is wiped */
    char entries[PAGE_BYTES - 2 * ALIGNED];
};
_Static_assert(sizeof(struct page) == PAGE_BYTES, "a page is as long as the file says");

struct daybook {
    char *path;
    int file;

    pthread_mutex_t lock;
    struct page *pages[PAGES_MAX];
    int page_count;
    int wiped[PAGES_MAX], wiped_count; /* the last one is used next */
    int turned[PAGES_MAX], turned_count;
    int present[PAGES_MAX], present_count; /* since the last turn */
    size_t used;                           /* of the last of these */
    uint64_t number;
    struct buf bytes; /* of the entry that is made */
    bool is_short;
};

/* ---- the file ---- */

static int add_page(struct daybook *daybook)
{
    off_t at = (off_t)daybook->page_count * PAGE_BYTES;
    struct page *page;
    int failed;

    if (daybook->page_count == PAGES_MAX)
        return EFBIG;
    do
        failed = posix_fallocate(daybook->file, at, PAGE_BYTES);
    while (failed == EINTR);
    if (failed)
        return failed;
    page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, daybook->file, at);
    if (page == MAP_FAILED)
        return errno;
    memcpy(page->title, title, sizeof title);
    daybook->pages[daybook->page_count] = page;
    daybook->wiped[daybook->wiped_count++] = daybook->page_count++;
    return 0;
}

struct daybook *daybook_open(const char *path, char *error, size_t error_size)
{
    struct daybook *daybook = mem_zero(sizeof *daybook);
    int failed;

    daybook->path = mem_text(path);
    pthread_mutex_init(&daybook->lock, NULL);
    unlink(path);
    daybook->file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    failed = daybook->file < 0 ? errno : add_page(daybook);
    if (!failed)
        return daybook;
    errno = failed;
    snprintf(error, error_size,
             "the daybook %.200s cannot be made (%m): give the gateway room and the right to it on a local disk, or "
             "leave \"?sync=second\" out of `store`",
             path);
    daybook_close(daybook);
    return NULL;
}

void daybook_close(struct daybook *daybook)
{
    if (!daybook)
        return;
    for (int i = 0; i < daybook->page_count; i++)
        munmap(daybook->pages[i], PAGE_BYTES);
    if (daybook->file >= 0)
        close(daybook->file);
    if (daybook->file >= 0 && !daybook->turned_count && !daybook->present_count)
        unlink(daybook->path);
    pthread_mutex_destroy(&daybook->lock);
    buf_free(&daybook->bytes);
    mem_free(daybook->path);
    mem_free(daybook);
}

/* ---- entries ---- */

static size_t size_of(size_t length)
{
    return (sizeof(struct entry) + length + ALIGNED - 1) / ALIGNED * ALIGNED;
}

static uint64_t mark_of(const struct entry *entry, uint64_t page)
{
    uint64_t mark = hash_sum(&entry->kind, sizeof *entry - sizeof entry->mark + entry->length, page);

    return mark ? mark : 1;
}

/* False: there is no room, which is told once. */
static bool begin_page(struct daybook *daybook)
{
    int failed = daybook->wiped_count ? 0 : add_page(daybook), page;
    char reason[64];

    if (failed) {
        if (!daybook->is_short) {
            errno = failed;
            snprintf(reason, sizeof reason, "%m");
            log_line(LOG_ERROR, "the daybook cannot grow: answers wait for their commits", "file", daybook->path,
                     "reason", reason, NULL);
        }
        daybook->is_short = true;
        return false;
    }
    daybook->is_short = false;
    page = daybook->wiped[--daybook->wiped_count];
    daybook->present[daybook->present_count++] = page;
    daybook->used = 0;
    atomic_store_explicit(&daybook->pages[page]->number, ++daybook->number, memory_order_release);
    return true;
}

/* Enters what is in `bytes`. */
static bool enter(struct daybook *daybook, enum kind kind)
{
    size_t size = size_of(daybook->bytes.length);
    struct page *page;
    struct entry *entry;

    if (size > sizeof page->entries)
        return false;
    if ((!daybook->present_count || sizeof page->entries - daybook->used < size) && !begin_page(daybook))
        return false;
    page = daybook->pages[daybook->present[daybook->present_count - 1]];
    entry = (struct entry *)(void *)(page->entries + daybook->used);
    entry->kind = kind;
    entry->length = (uint32_t)daybook->bytes.length;
    memcpy(entry->bytes, daybook->bytes.data, daybook->bytes.length);
    atomic_store_explicit(&entry->mark, mark_of(entry, daybook->number), memory_order_release);
    daybook->used += size;
    return true;
}

bool daybook_enter_row(struct daybook *daybook, const struct ledger_row *row)
{
    bool is_entered;

    pthread_mutex_lock(&daybook->lock);
    buf_clear(&daybook->bytes);
    piece_add_row(&daybook->bytes, row);
    is_entered = enter(daybook, ROW);
    pthread_mutex_unlock(&daybook->lock);
    return is_entered;
}

bool daybook_enter_counter(struct daybook *daybook, const struct counter_state *counter)
{
    bool is_entered;

    pthread_mutex_lock(&daybook->lock);
    buf_clear(&daybook->bytes);
    piece_add_counter(&daybook->bytes, counter);
    is_entered = enter(daybook, COUNTER);
    pthread_mutex_unlock(&daybook->lock);
    return is_entered;
}

void daybook_turn(struct daybook *daybook)
{
    pthread_mutex_lock(&daybook->lock);
    for (int i = 0; i < daybook->present_count; i++)
        daybook->turned[daybook->turned_count++] = daybook->present[i];
    daybook->present_count = 0;
    pthread_mutex_unlock(&daybook->lock);
}

void daybook_wipe(struct daybook *daybook)
{
    pthread_mutex_lock(&daybook->lock);
    /* The oldest first: what a kill leaves ends with how each counter stood last. */
    for (int i = 0; i < daybook->turned_count; i++) {
        int page = daybook->turned[i];

        atomic_store_explicit(&daybook->pages[page]->number, 0, memory_order_release);
        daybook->wiped[daybook->wiped_count++] = page;
    }
    daybook->turned_count = 0;
    pthread_mutex_unlock(&daybook->lock);
}

/* ---- reading ---- */

static int compare(const void *a, const void *b)
{
    uint64_t first = (*(struct page *const *)a)->number, second = (*(struct page *const *)b)->number;

    return first < second ? -1 : first > second;
}

static void read_page(struct page *page, const struct daybook_reader *reader)
{
    uint64_t number = page->number;

    for (size_t at = 0; sizeof page->entries - at >= sizeof(struct entry);) {
        struct entry *entry = (struct entry *)(void *)(page->entries + at);
        struct piece piece = { entry->bytes, entry->length };
        struct ledger_row row;
        struct counter_state counter;

        if (entry->length > sizeof page->entries - at - sizeof *entry || entry->mark != mark_of(entry, number))
            return;
        if (entry->kind == ROW && piece_read_row(piece, &row))
            reader->on_row(reader->arg, &row);
        else if (entry->kind == COUNTER && piece_read_counter(piece, &counter))
            reader->on_counter(reader->arg, &counter);
        at += size_of(entry->length);
    }
}

/* Opens it, and says how many pages it has: -1 with errno, or 0 where there is none. */
static int open_file(const char *path, size_t *count)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat found = { 0 };

    if (file < 0 && errno == ENOENT)
        errno = 0;
    if (file >= 0 && (fstat(file, &found) != 0 || !S_ISREG(found.st_mode))) {
        close(file);
        errno = EISDIR; /* or what is no more of a file */
        file = -1;
    }
    *count = (size_t)found.st_size / PAGE_BYTES;
    if (*count > PAGES_MAX)
        *count = PAGES_MAX;
    return file;
}

static bool read_all(int file, void *bytes, size_t length, off_t at)
{
    char *next = bytes;

    while (length > 0) {
        ssize_t got = pread(file, next, length, at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        next += got;
        at += got;
        length -= (size_t)got;
    }
    return true;
}

bool daybook_read(const char *path, const struct daybook_reader *reader, char *error, size_t error_size)
{
    struct page *pages, *list[PAGES_MAX];
    size_t count, written = 0;
    int file = open_file(path, &count);
    bool is_read;

    if (file < 0 && !errno)
        return true;
    pages = mem_alloc(count * PAGE_BYTES);
    is_read = file >= 0 && read_all(file, pages, count * PAGE_BYTES, 0);
    if (!is_read)
        snprintf(error, error_size, "the daybook %.200s cannot be read (%m): give moongate the right to it", path);
    for (size_t i = 0; is_read && i < count; i++)
        if (pages[i].number && memcmp(pages[i].title, title, sizeof title) == 0)
            list[written++] = &pages[i];
    if (written)
        qsort(list, written, sizeof(struct page *), compare);
    for (size_t i = 0; i < written; i++)
        read_page(list[i], reader);
    mem_free(pages);
    if (file >= 0)
        close(file);
    return is_read;
}

void daybook_pages(const char *path, uint64_t *oldest, uint64_t *newest)
{
    size_t count;
    int file = open_file(path, &count);

    *oldest = *newest = 0;
    for (size_t i = 0; file >= 0 && i < count; i++) {
        uint64_t number = 0;

        read_all(file, &number, sizeof number, (off_t)i * PAGE_BYTES + (off_t)offsetof(struct page, number));
        *newest = number > *newest ? number : *newest;
        *oldest = number && (!*oldest || number < *oldest) ? number : *oldest;
    }
    if (file >= 0)
        close(file);
}
