/* redis_spool.c - see redis_spool.h. */
#include "store/redis_spool.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/redis.h"
#include "net/redis_line.h"
#include "store/backend.h"
#include "store/redis_ledger.h"
#include "store/row.h"

enum { SPOOLS_MAX = 1000, CHUNKS = 4, IDS_BYTES = 8192 };

/* One spool file. Whoever holds its -gateway file locked has it; in that are the ids of those who had, one a line. */
struct bin {
    char *path;
    int lock;
    struct store *store;
    struct store_place place; /* where the present round of delivering stands */
};

struct redis_spool {
    char *folder;
    int number;
    char id[ID_LENGTH + 1];
    struct bin own, left; /* left: by a gateway that is gone; its store is NULL if there is none */
    struct buf dead;      /* ids of gateways, each with a NUL */
    void (*on_rows)(void *arg);
    void *arg;
    atomic_bool has_rows;
};

/* ---- bins ---- */

static void bin_close(struct bin *bin)
{
    store_close(bin->store);
    if (bin->lock >= 0)
        close(bin->lock);
    mem_free(bin->path);
    *bin = (struct bin){ .lock = -1 };
}

/* False: somebody has it, or (with an error) it cannot be used. */
static bool bin_open(struct bin *bin, const char *folder, int number, char *error, size_t error_size)
{
    char *path = mem_format("%s/moongate-spool-%d.db", folder, number), *name = mem_format("%s-gateway", path);
    char *address = mem_format("sqlite:%s", path);

    *error = '\0';
    *bin = (struct bin){ path, open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600), NULL, { 0, 0 } };
    if (bin->lock < 0)
        snprintf(error, error_size, "%.200s cannot be written: %m", name);
    else if (flock(bin->lock, LOCK_EX | LOCK_NB) == 0)
        bin->store = store_open(address, error, error_size);
    mem_free(address);
    mem_free(name);
    if (bin->store)
        return true;
    bin_close(bin);
    return false;
}

static void bin_read_ids(const struct bin *bin, struct buf *dead)
{
    char text[IDS_BYTES];
    ssize_t length = pread(bin->lock, text, sizeof text, 0);

    for (ssize_t at = 0; at + ID_LENGTH < length && text[at + ID_LENGTH] == '\n'; at += ID_LENGTH + 1) {
        text[at + ID_LENGTH] = '\0';
        if (strlen(text + at) == ID_LENGTH)
            buf_add(dead, text + at, ID_LENGTH + 1);
    }
}

/* What is gone from here, all rows delivered, is gone; the -gateway file stays: it is the lock. */
static void bin_remove(struct bin *bin)
{
    static const char *const endings[] = { "", "-wal", "-shm", "-open" };

    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        char *name = mem_format("%s%s", bin->path, endings[i]);

        unlink(name);
        mem_free(name);
    }
    if (ftruncate(bin->lock, 0) != 0)
        log_line(LOG_WARN, "the lock of a spool cannot be emptied", "spool", bin->path, NULL);
}

/* ---- its life ---- */

static bool write_ids(const struct redis_spool *spool)
{
    struct buf text = { 0 };
    bool is_good;

    buf_add(&text, spool->dead.data, spool->dead.length);
    buf_add(&text, spool->id, ID_LENGTH + 1);
    for (size_t i = ID_LENGTH; i < text.length; i += ID_LENGTH + 1)
        text.data[i] = '\n';
    is_good = pwrite(spool->own.lock, text.data, text.length, 0) == (ssize_t)text.length &&
              ftruncate(spool->own.lock, (off_t)text.length) == 0;
    buf_free(&text);
    return is_good;
}

const char *redis_spool_dead(const struct redis_spool *spool)
{
    return spool->dead.length ? spool->dead.data : NULL;
}

void redis_spool_buried(struct redis_spool *spool)
{
    if (!spool->dead.length)
        return;
    buf_drop(&spool->dead, ID_LENGTH + 1);
    write_ids(spool); /* it is buried once more, if not: that does nothing */
}

struct redis_spool *redis_spool_open(const char *folder, const char *id, void (*on_rows)(void *arg), void *arg,
                                     char *error, size_t error_size)
{
    struct redis_spool *spool = mem_zero(sizeof *spool);
    char reason[512] = "";

    spool->folder = mem_text(*folder ? folder : ".");
    spool->own.lock = spool->left.lock = -1;
    spool->on_rows = on_rows;
    spool->arg = arg;
    atomic_init(&spool->has_rows, true);
    snprintf(spool->id, sizeof spool->id, "%s", id);
    while (!spool->own.store && !*reason && spool->number < SPOOLS_MAX)
        bin_open(&spool->own, spool->folder, ++spool->number, reason, sizeof reason);
    if (spool->own.store) {
        bin_read_ids(&spool->own, &spool->dead);
        if (write_ids(spool))
            return spool;
        snprintf(reason, sizeof reason, "%.200s-gateway cannot be written: %m", spool->own.path);
    }
    if (!*reason)
        snprintf(reason, sizeof reason, "%d gateways use that folder", SPOOLS_MAX);
    snprintf(error, error_size,
             "ledger rows need a place to wait for Redis: %.330s. Name a folder for them in `store`, as in "
             "\"redis://127.0.0.1:6379/0?spool=/var/lib/moongate\"",
             reason);
    redis_spool_close(spool);
    return NULL;
}

void redis_spool_close(struct redis_spool *spool)
{
    if (!spool)
        return;
    bin_close(&spool->left);
    bin_close(&spool->own);
    buf_free(&spool->dead);
    mem_free(spool->folder);
    mem_free(spool);
}

bool redis_spool_problem(struct redis_spool *spool, char *text, size_t size)
{
    const char *problem = store_problem(spool->own.store);

    if (problem)
        snprintf(text, size, "%s", problem);
    return problem != NULL;
}

bool redis_spool_refuses(struct redis_spool *spool, char *text, size_t size)
{
    const char *why = store_refuses(spool->own.store);

    if (why)
        snprintf(text, size, "%s", why);
    return why != NULL;
}

/* ---- rows ---- */

void redis_spool_open_row(struct redis_spool *spool, const struct ledger_row *row)
{
    spool->own.store->backend->open_row(spool->own.store, row);
}

struct spooled {
    struct redis_spool *spool;
    struct answer answer;
};

/* On the thread that writes the spool. */
static void on_spooled(void *arg, bool kept)
{
    struct spooled *spooled = arg;
    struct redis_spool *spool = spooled->spool;

    answer_give(&spooled->answer, kept);
    mem_free(spooled);
    atomic_store(&spool->has_rows, true);
    spool->on_rows(spool->arg);
}

void redis_spool_close_row(struct redis_spool *spool, const struct ledger_row *row, struct answer answer)
{
    struct spooled *spooled = mem_alloc(sizeof *spooled);

    *spooled = (struct spooled){ spool, answer };
    spool->own.store->backend->close_row(spool->own.store, row, answer_of(NULL, on_spooled, spooled));
}

void redis_spool_forget(struct redis_spool *spool, const char *row_id)
{
    store_row_forget(spool->own.store, row_id);
}

void redis_spool_find(struct redis_spool *spool, const char *request_id, const struct row_answer *answer)
{
    spool->own.store->backend->find_row(spool->own.store, request_id, answer);
}

/* ---- delivering ---- */

enum outcome { ALL, SOME, REFUSED };

/* The next rows of a bin: Redis takes them all, and the bin gives them up. */
static enum outcome deliver_chunk(struct bin *bin, struct redis_line *line)
{
    struct row *rows[REDIS_LEDGER_ROWS];
    int got = bin->store->backend->read_rows(bin->store, &bin->place, INT64_MAX, REDIS_LEDGER_ROWS, rows);
    bool is_good = got >= 0 && redis_ledger_send(line, rows, (size_t)got);

    for (int i = 0; i < got; i++) {
        if (is_good)
            store_row_forget(bin->store, row_fields(rows[i])->row_id);
        row_drop(rows[i]);
    }
    if (is_good && got > 0)
        return SOME;
    bin->place = (struct store_place){ 0, 0 };
    return is_good ? ALL : REFUSED;
}

static enum outcome deliver(struct bin *bin, struct redis_line *line)
{
    enum outcome outcome = SOME;

    for (int i = 0; outcome == SOME && i < CHUNKS; i++)
        outcome = deliver_chunk(bin, line);
    return outcome;
}

static enum outcome deliver_own(struct redis_spool *spool, struct redis_line *line)
{
    struct bin *own = &spool->own;
    enum outcome outcome;

    if (own->place.time == 0 && own->place.number == 0 && !atomic_exchange(&spool->has_rows, false))
        return ALL;
    outcome = deliver(own, line);
    /* What the disk refused waits in memory, and comes to the spool without a word. */
    if (outcome == REFUSED || (outcome == ALL && store_problem(own->store))) {
        atomic_store(&spool->has_rows, true);
        return REFUSED;
    }
    return outcome == ALL && atomic_load(&spool->has_rows) ? SOME : outcome;
}

/* What a gateway that is gone has left. */
static enum outcome deliver_left(struct redis_spool *spool, struct redis_line *line)
{
    struct bin *left = &spool->left;
    enum outcome outcome = left->store ? deliver(left, line) : ALL;

    if (outcome != ALL || !left->store)
        return outcome;
    bin_read_ids(left, &spool->dead);
    if (write_ids(spool)) {
        bin_remove(left);
        log_line(LOG_INFO, "the ledger rows that another gateway left were delivered", "spool", left->path, NULL);
    }
    bin_close(left);
    return ALL;
}

bool redis_spool_deliver(struct redis_spool *spool, struct redis_line *line)
{
    enum outcome outcome = deliver_own(spool, line);

    return outcome == SOME || (outcome == ALL && deliver_left(spool, line) == SOME);
}

void redis_spool_adopt(struct redis_spool *spool)
{
    DIR *folder = opendir(spool->folder);
    const struct dirent *entry;
    char error[512] = "";
    int number, length;

    while (folder && !spool->left.store && (entry = readdir(folder))) {
        length = 0;
        if (sscanf(entry->d_name, "moongate-spool-%d.db%n", &number, &length) != 1 || length == 0 ||
            entry->d_name[length] || number == spool->number)
            continue;
        if (!bin_open(&spool->left, spool->folder, number, error, sizeof error) && *error)
            log_line(LOG_WARN, "the ledger rows that another gateway left cannot be delivered", "reason", error, NULL);
    }
    if (folder)
        closedir(folder);
}
