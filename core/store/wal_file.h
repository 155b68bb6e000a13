/*
 * wal_file.h - the files of SQLite, of which the write-ahead log takes what a
 * commit writes in one piece: SQLite hands over each page in two, and a commit
 * of one row has eight pages or so.
 */
#ifndef STORE_WAL_FILE_H
#define STORE_WAL_FILE_H

/*
 * The name to open a database with (sqlite3_open_v2) that is written, with
 * synchronous=FULL: what is held back goes out before each sync and each read.
 * Any thread. NULL: SQLite's own files will do.
 */
const char *wal_file_vfs(void);

#endif
