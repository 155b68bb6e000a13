/* wal_file.c - see wal_file.h. */
#include "store/wal_file.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "base/thread.h"

/* What a group of some ten rows writes; of more, so much at a time. SQLite's files take less than 128 KB in one go. */
enum { HELD_MAX = 96 * 1024 };

/* Before each page SQLite writes a head of so many bytes; a page that ends a commit has how many there are then. */
enum { HEAD_BYTES = 24, HEAD_PAGES = 4 };

static const char vfs_name[] = "moongate";

/* The log, with room behind it for the file that it goes to. */
struct log {
    sqlite3_file file;
    char *held;
    int length;
    bool ends;            /* the next page is the last of its commit */
    sqlite3_int64 at;     /* where what is held begins */
    sqlite3_int64 room[]; /* no more aligned than SQLite aligns it */
};

static sqlite3_file *inner(sqlite3_file *file)
{
    return (sqlite3_file *)((struct log *)file)->room;
}

/* What could not be written is dropped: the sync that was to keep it fails, and so does the commit. */
static int let_go(sqlite3_file *file)
{
    struct log *log = (struct log *)file;
    int length = log->length;

    log->length = 0;
    return length ? inner(file)->pMethods->xWrite(inner(file), log->held, length, log->at) : SQLITE_OK;
}

static int log_close(sqlite3_file *file)
{
    int lost = let_go(file), failed = inner(file)->pMethods->xClose(inner(file));

    mem_free(((struct log *)file)->held);
    return lost ? lost : failed;
}

/* What a checkpoint copies, page after page, is read here. */
static int log_read(sqlite3_file *file, void *data, int length, sqlite3_int64 at)
{
    int lost = let_go(file);

    thread_pass();
    return lost ? lost : inner(file)->pMethods->xRead(inner(file), data, length, at);
}

static bool is_end(const void *data, int length)
{
    static const char none[4];

    return length == HEAD_BYTES && memcmp((const char *)data + HEAD_PAGES, none, sizeof none) != 0;
}

static int hold(sqlite3_file *file, const void *data, int length, sqlite3_int64 at)
{
    struct log *log = (struct log *)file;
    bool follows = log->length && at == log->at + log->length && length <= HELD_MAX - log->length;
    int lost = follows ? SQLITE_OK : let_go(file);

    if (lost)
        return lost;
    if (length > HELD_MAX)
        return inner(file)->pMethods->xWrite(inner(file), data, length, at);
    if (!log->held)
        log->held = mem_alloc(HELD_MAX);
    if (!follows)
        log->at = at;
    memcpy(log->held + log->length, data, (size_t)length);
    log->length += length;
    return SQLITE_OK;
}

/* Once a commit has all its pages here, other processes are told of it. */
static int log_write(sqlite3_file *file, const void *data, int length, sqlite3_int64 at)
{
    struct log *log = (struct log *)file;
    bool ends = log->ends;
    int lost = hold(file, data, length, at);

    log->ends = is_end(data, length);
    return lost || !ends ? lost : let_go(file);
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    int lost = let_go(file);

    return lost ? lost : inner(file)->pMethods->xTruncate(inner(file), size);
}

static int log_sync(sqlite3_file *file, int flags)
{
    int lost = let_go(file);

    return lost ? lost : inner(file)->pMethods->xSync(inner(file), flags);
}

static int log_size(sqlite3_file *file, sqlite3_int64 *size)
{
    int lost = let_go(file);

    return lost ? lost : inner(file)->pMethods->xFileSize(inner(file), size);
}

static int log_lock(sqlite3_file *file, int level)
{
    return inner(file)->pMethods->xLock(inner(file), level);
}

static int log_unlock(sqlite3_file *file, int level)
{
    return inner(file)->pMethods->xUnlock(inner(file), level);
}

static int log_check_lock(sqlite3_file *file, int *is_locked)
{
    return inner(file)->pMethods->xCheckReservedLock(inner(file), is_locked);
}

static int log_control(sqlite3_file *file, int what, void *arg)
{
    return inner(file)->pMethods->xFileControl(inner(file), what, arg);
}

static int log_sector(sqlite3_file *file)
{
    return inner(file)->pMethods->xSectorSize(inner(file));
}

static int log_traits(sqlite3_file *file)
{
    return inner(file)->pMethods->xDeviceCharacteristics(inner(file));
}

static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_unlock,
    .xCheckReservedLock = log_check_lock,
    .xFileControl = log_control,
    .xSectorSize = log_sector,
    .xDeviceCharacteristics = log_traits,
};

static int open_file(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *flags_got)
{
    sqlite3_vfs *usual = vfs->pAppData;
    int failed;

    if (!(flags & SQLITE_OPEN_WAL))
        return usual->xOpen(usual, path, file, flags, flags_got);
    *(struct log *)file = (struct log){ 0 };
    failed = usual->xOpen(usual, path, inner(file), flags, flags_got);
    /* Without methods it is not closed again. */
    file->pMethods = failed ? NULL : &methods;
    if (failed && inner(file)->pMethods)
        inner(file)->pMethods->xClose(inner(file));
    return failed;
}

static bool is_there;

static void register_vfs(void)
{
    static sqlite3_vfs own;
    sqlite3_vfs *usual = sqlite3_vfs_find(NULL);

    if (!usual)
        return;
    own = *usual;
    own.pNext = NULL;
    own.zName = vfs_name;
    own.pAppData = usual;
    own.szOsFile = (int)sizeof(struct log) + usual->szOsFile;
    own.xOpen = open_file;
    is_there = sqlite3_vfs_register(&own, 0) == SQLITE_OK;
}

const char *wal_file_vfs(void)
{
    static pthread_once_t registered = PTHREAD_ONCE_INIT;

    pthread_once(&registered, register_vfs);
    return is_there ? vfs_name : NULL;
}

bool wal_file_sync(struct sqlite3 *connection)
{
    sqlite3_file *log = NULL;

    return sqlite3_file_control(connection, NULL, SQLITE_FCNTL_JOURNAL_POINTER, &log) == SQLITE_OK && log &&
           (!log->pMethods || log->pMethods->xSync(log, SQLITE_SYNC_NORMAL) == SQLITE_OK);
}
