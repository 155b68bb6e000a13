/* reader.c - see reader.h. */
#include "store/reader.h"

#include <pthread.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "base/thread.h"
#include "store/database.h"
#include "store/row.h"
#include "store/statements.h"

/* People ask for rows; a flood of questions is answered with "none". */
enum { QUESTIONS_MAX = 10000 };

struct question {
    struct question *next;
    char *request_id;
    struct row_answer answer;
};

struct reader {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct question *first, **last;
    size_t count;
    bool is_stopping;
    sqlite3 *connection;
    sqlite3_stmt *find_row;
};

static struct question *next_question(struct reader *reader)
{
    struct question *question;

    pthread_mutex_lock(&reader->lock);
    while (!reader->first && !reader->is_stopping)
        pthread_cond_wait(&reader->wake, &reader->lock);
    question = reader->first;
    if (question) {
        reader->first = question->next;
        if (!reader->first)
            reader->last = &reader->first;
        reader->count--;
    }
    pthread_mutex_unlock(&reader->lock);
    return question;
}

static void *read_rows(void *arg)
{
    struct reader *reader = arg;
    struct question *question;

    while ((question = next_question(reader))) {
        answer_give_row(&question->answer, statements_read_row(reader->find_row, question->request_id));
        mem_free(question->request_id);
        mem_free(question);
    }
    return NULL;
}

static void free_reader(struct reader *reader)
{
    sqlite3_finalize(reader->find_row);
    database_close_reader(reader->connection);
    pthread_mutex_destroy(&reader->lock);
    pthread_cond_destroy(&reader->wake);
    mem_free(reader);
}

struct reader *reader_start(const struct database *database)
{
    struct reader *reader = mem_zero(sizeof *reader);
    int failed = 1;

    pthread_mutex_init(&reader->lock, NULL);
    pthread_cond_init(&reader->wake, NULL);
    reader->last = &reader->first;
    reader->connection = database_open_reader(database);
    reader->find_row = reader->connection ? statements_find_row(reader->connection) : NULL;
    if (reader->find_row)
        failed = thread_start(&reader->thread, read_rows, reader);
    if (!failed)
        return reader;
    free_reader(reader);
    return NULL;
}

void reader_stop(struct reader *reader)
{
    if (!reader)
        return;
    pthread_mutex_lock(&reader->lock);
    reader->is_stopping = true;
    pthread_cond_signal(&reader->wake);
    pthread_mutex_unlock(&reader->lock);
    pthread_join(reader->thread, NULL);
    free_reader(reader);
}

void reader_find(struct reader *reader, const char *request_id, const struct row_answer *answer)
{
    struct question *question = mem_alloc(sizeof *question);
    bool is_taken;

    *question = (struct question){ NULL, mem_text(request_id), *answer };
    pthread_mutex_lock(&reader->lock);
    is_taken = reader->count < QUESTIONS_MAX;
    if (is_taken) {
        *reader->last = question;
        reader->last = &question->next;
        reader->count++;
        pthread_cond_signal(&reader->wake);
    }
    pthread_mutex_unlock(&reader->lock);
    if (is_taken)
        return;
    answer_give_row(answer, NULL);
    mem_free(question->request_id);
    mem_free(question);
}
