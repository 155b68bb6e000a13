/* sqlite_files.c - see sqlite_files.h. */
#include "store/sqlite_files.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "base/thread.h"

/* What a group of some ten rows writes; of more, so much at a time. SQLite's files take less than 128 KB in one go. */
enum { PIECE_MAX = 96 * 1024 };

/* Who reads on so little behind what it read last will read what follows. */
enum { NEAR_BYTES = 32 * 1024 };

/* Before each page of the log SQLite writes a head of so many bytes; one that ends a commit has how many there are. */
enum { HEAD_BYTES = 24, HEAD_PAGES = 4 };

static const char vfs_name[] = "moongate";

/* A file, with room behind it for the one that it stands before. */
struct file {
    sqlite3_file file;
    char *piece;
    sqlite3_int64 at; /* where the piece begins */
    int held;         /* its bytes that are yet to be written, */
    int ahead;        /* or those that were read beforehand; never both */
    sqlite3_int64 read_at;
    bool ends;            /* of the log: the next page is the last of its commit */
    sqlite3_int64 room[]; /* no more aligned than SQLite aligns it */
};

static sqlite3_file *inner(sqlite3_file *file)
{
    return (sqlite3_file *)((struct file *)file)->room;
}

static char *piece_of(struct file *own)
{
    if (!own->piece)
        own->piece = mem_alloc(PIECE_MAX);
    return own->piece;
}

/* What could not be written is dropped: the sync that was to keep it fails, and so does the commit or checkpoint. */
static int let_go(sqlite3_file *file)
{
    struct file *own = (struct file *)file;
    int length = own->held;

    own->held = 0;
    return length ? inner(file)->pMethods->xWrite(inner(file), own->piece, length, own->at) : SQLITE_OK;
}

static int file_close(sqlite3_file *file)
{
    int lost = let_go(file), failed = inner(file)->pMethods->xClose(inner(file));

    mem_free(((struct file *)file)->piece);
    return lost ? lost : failed;
}

static bool is_ahead(const struct file *own, int length, sqlite3_int64 at)
{
    return own->ahead && at >= own->at && at + length <= own->at + own->ahead;
}

/* False: it cannot be, and SQLite hears why from its own read. */
static bool read_ahead(sqlite3_file *file, int length, sqlite3_int64 at)
{
    struct file *own = (struct file *)file;
    sqlite3_int64 size;
    int most;

    own->ahead = 0;
    if (inner(file)->pMethods->xFileSize(inner(file), &size) != SQLITE_OK || size - at < length)
        return false;
    most = size - at < PIECE_MAX ? (int)(size - at) : PIECE_MAX;
    if (inner(file)->pMethods->xRead(inner(file), piece_of(own), most, at) != SQLITE_OK)
        return false;
    own->at = at;
    own->ahead = most;
    return true;
}

/* What a checkpoint copies, page after page, is read here. */
static int log_read(sqlite3_file *file, void *data, int length, sqlite3_int64 at)
{
    struct file *own = (struct file *)file;
    bool goes_on = at > own->read_at && at <= own->read_at + NEAR_BYTES;
    int lost = let_go(file);

    thread_pass();
    if (lost)
        return lost;
    own->read_at = at;
    if (!is_ahead(own, length, at) && !(goes_on && read_ahead(file, length, at)))
        return inner(file)->pMethods->xRead(inner(file), data, length, at);
    memcpy(data, own->piece + (at - own->at), (size_t)length);
    return SQLITE_OK;
}

static int database_read(sqlite3_file *file, void *data, int length, sqlite3_int64 at)
{
    int lost = let_go(file);

    return lost ? lost : inner(file)->pMethods->xRead(inner(file), data, length, at);
}

static bool is_end(const void *data, int length)
{
    static const char none[4];

    return length == HEAD_BYTES && memcmp((const char *)data + HEAD_PAGES, none, sizeof none) != 0;
}

static int hold(sqlite3_file *file, const void *data, int length, sqlite3_int64 at)
{
    struct file *own = (struct file *)file;
    bool follows = own->held && at == own->at + own->held && length <= PIECE_MAX - own->held;
    int lost = follows ? SQLITE_OK : let_go(file);

    own->ahead = 0;
    if (lost)
        return lost;
    if (length > PIECE_MAX)
        return inner(file)->pMethods->xWrite(inner(file), data, length, at);
    if (!follows)
        own->at = at;
    memcpy(piece_of(own) + own->held, data, (size_t)length);
    own->held += length;
    return SQLITE_OK;
}

/* Once a commit has all its pages here, other processes are told of it. */
static int log_write(sqlite3_file *file, const void *data, int length, sqlite3_int64 at)
{
    struct file *own = (struct file *)file;
    bool ends = own->ends;
    int lost = hold(file, data, length, at);

    own->ends = is_end(data, length);
    return lost || !ends ? lost : let_go(file);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    int lost = let_go(file);

    ((struct file *)file)->ahead = 0;
    return lost ? lost : inner(file)->pMethods->xTruncate(inner(file), size);
}

static int file_sync(sqlite3_file *file, int flags)
{
    int lost = let_go(file);

    return lost ? lost : inner(file)->pMethods->xSync(inner(file), flags);
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    int lost = let_go(file);

    return lost ? lost : inner(file)->pMethods->xFileSize(inner(file), size);
}

static int file_lock(sqlite3_file *file, int level)
{
    return inner(file)->pMethods->xLock(inner(file), level);
}

static int file_unlock(sqlite3_file *file, int level)
{
    int lost = let_go(file), failed = inner(file)->pMethods->xUnlock(inner(file), level);

    return lost ? lost : failed;
}

static int file_check_lock(sqlite3_file *file, int *is_locked)
{
    return inner(file)->pMethods->xCheckReservedLock(inner(file), is_locked);
}

static int file_control(sqlite3_file *file, int what, void *arg)
{
    return inner(file)->pMethods->xFileControl(inner(file), what, arg);
}

static int file_sector(sqlite3_file *file)
{
    return inner(file)->pMethods->xSectorSize(inner(file));
}

static int file_traits(sqlite3_file *file)
{
    return inner(file)->pMethods->xDeviceCharacteristics(inner(file));
}

static int map_shared(sqlite3_file *file, int page, int size, int extends, void volatile **to)
{
    return inner(file)->pMethods->xShmMap(inner(file), page, size, extends, to);
}

static int lock_shared(sqlite3_file *file, int from, int count, int flags)
{
    return inner(file)->pMethods->xShmLock(inner(file), from, count, flags);
}

static void order_shared(sqlite3_file *file)
{
    inner(file)->pMethods->xShmBarrier(inner(file));
}

static int unmap_shared(sqlite3_file *file, int deletes)
{
    return inner(file)->pMethods->xShmUnmap(inner(file), deletes);
}

#define METHODS_OF_BOTH                                                                                                \
    .xClose = file_close, .xTruncate = file_truncate, .xSync = file_sync, .xFileSize = file_size, .xLock = file_lock,  \
    .xUnlock = file_unlock, .xCheckReservedLock = file_check_lock, .xFileControl = file_control,                       \
    .xSectorSize = file_sector, .xDeviceCharacteristics = file_traits

static const sqlite3_io_methods log_methods = {
    .iVersion = 1,
    METHODS_OF_BOTH,
    .xRead = log_read,
    .xWrite = log_write,
};

static const sqlite3_io_methods database_methods = {
    .iVersion = 2,
    METHODS_OF_BOTH,
    .xRead = database_read,
    .xWrite = hold,
    .xShmMap = map_shared,
    .xShmLock = lock_shared,
    .xShmBarrier = order_shared,
    .xShmUnmap = unmap_shared,
};

static int open_file(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *flags_got)
{
    sqlite3_vfs *usual = vfs->pAppData;
    int failed;

    if (!(flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_DB)))
        return usual->xOpen(usual, path, file, flags, flags_got);
    *(struct file *)file = (struct file){ 0 };
    failed = usual->xOpen(usual, path, inner(file), flags, flags_got);
    if (!failed)
        file->pMethods = flags & SQLITE_OPEN_WAL ? &log_methods : &database_methods;
    /* Without methods it is not closed again. */
    else if (inner(file)->pMethods)
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
    own.szOsFile = (int)sizeof(struct file) + usual->szOsFile;
    own.xOpen = open_file;
    is_there = sqlite3_vfs_register(&own, 0) == SQLITE_OK;
}

const char *sqlite_files_vfs(void)
{
    static pthread_once_t registered = PTHREAD_ONCE_INIT;

    pthread_once(&registered, register_vfs);
    return is_there ? vfs_name : NULL;
}

bool sqlite_files_sync_log(struct sqlite3 *connection)
{
    sqlite3_file *log = NULL;

    return sqlite3_file_control(connection, NULL, SQLITE_FCNTL_JOURNAL_POINTER, &log) == SQLITE_OK && log &&
           (!log->pMethods || log->pMethods->xSync(log, SQLITE_SYNC_NORMAL) == SQLITE_OK);
}
