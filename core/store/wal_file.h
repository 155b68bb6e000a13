/*
 * wal_file.h - the files of SQLite, of which the write-ahead log takes what a
 * commit writes in one piece: SQLite hands over each page in two, and a commit
 * of one row has eight pages or so.
 */
#ifndef STORE_WAL_FILE_H
#define STORE_WAL_FILE_H

#include <stdbool.h>

struct sqlite3;

/*
 * The name to open a database with (sqlite3_open_v2) that is written: nothing
 * is held back beyond a commit, a sync or a read. Any thread. NULL: SQLite's own files will do.
 */
const char *wal_file_vfs(void);
/*
 * Has on the disk what was committed, where commits do not see to that themselves (synchronous=NORMAL). False with
 * errno if it could not.
 */
bool wal_file_sync(struct sqlite3 *connection);

#endif
