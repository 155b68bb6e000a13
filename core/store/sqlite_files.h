/*
 * sqlite_files.h - the files of SQLite, read and written in large pieces where
 * SQLite takes small ones: a commit of one row hands over some twelve, and a
 * checkpoint reads a page of the log and writes it, one after the other, while
 * no row is committed.
 */
#ifndef STORE_SQLITE_FILES_H
#define STORE_SQLITE_FILES_H

#include <stdbool.h>

struct sqlite3;

/*
 * The name to open a database with (sqlite3_open_v2) that is written, in WAL mode: nothing is held back beyond a
 * commit, a sync, a read or an unlock. Any thread. NULL: SQLite's own files will do.
 */
const char *sqlite_files_vfs(void);
/*
 * Has on the disk what was committed, where commits do not see to that themselves (synchronous=NORMAL). False with
 * errno if it could not.
 */
bool sqlite_files_sync_log(struct sqlite3 *connection);

#endif
