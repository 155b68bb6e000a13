/* usage_thread.c - see usage_thread.h. */
#include "store/usage_thread.h"

#include <pthread.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/thread.h"
#include "store/usage.h"

/* A flood of questions is answered with "cannot be read". */
enum { QUESTIONS_MAX = 1000 };

struct question {
    struct question *next;
    struct usage *usage; /* NULL: it cannot be read */
    struct store_home home;
    void (*on_usage)(void *arg, const struct usage *usage);
    void *arg;
};

struct usage_thread {
    struct store *store;
    pthread_t thread;
    pthread_mutex_t lock; /* for all below */
    pthread_cond_t wake;
    struct question *first, **last;
    size_t count;
    struct usage *under_way;
    bool is_started, is_stopping;
};

static void on_answer_home(void *arg)
{
    struct question *question = arg;

    question->on_usage(question->arg, question->usage);
    usage_free(question->usage);
    mem_free(question);
}

static void answer(struct question *question)
{
    if (question->home.post)
        question->home.post(question->home.loop, on_answer_home, question);
    else
        on_answer_home(question);
}

static void refuse(struct question *question)
{
    usage_free(question->usage);
    question->usage = NULL;
    answer(question);
}

/* The next one; once the thread is to stop, all that are left are refused, and there is none. */
static struct question *next_question(struct usage_thread *thread)
{
    struct question *question;

    pthread_mutex_lock(&thread->lock);
    while (!thread->first && !thread->is_stopping)
        pthread_cond_wait(&thread->wake, &thread->lock);
    question = thread->first;
    if (question) {
        thread->first = question->next;
        if (!thread->first)
            thread->last = &thread->first;
        thread->count--;
        thread->under_way = question->usage;
        if (thread->is_stopping)
            usage_cancel(question->usage);
    }
    pthread_mutex_unlock(&thread->lock);
    return question;
}

static void *answer_questions(void *arg)
{
    struct usage_thread *thread = arg;
    struct question *question;
    bool is_read;

    (void)!nice(10); /* of this thread alone, as Linux has it: requests go before reports */
    while ((question = next_question(thread))) {
        is_read = !usage_is_cancelled(question->usage) && usage_read(question->usage, thread->store);
        pthread_mutex_lock(&thread->lock);
        thread->under_way = NULL;
        pthread_mutex_unlock(&thread->lock);
        if (is_read)
            answer(question);
        else
            refuse(question);
    }
    return NULL;
}

struct usage_thread *usage_thread_new(struct store *store)
{
    struct usage_thread *thread = mem_zero(sizeof *thread);

    thread->store = store;
    thread->last = &thread->first;
    pthread_mutex_init(&thread->lock, NULL);
    pthread_cond_init(&thread->wake, NULL);
    return thread;
}

void usage_thread_stop(struct usage_thread *thread)
{
    if (!thread)
        return;
    pthread_mutex_lock(&thread->lock);
    thread->is_stopping = true;
    if (thread->under_way)
        usage_cancel(thread->under_way);
    pthread_cond_signal(&thread->wake);
    pthread_mutex_unlock(&thread->lock);
    if (thread->is_started)
        pthread_join(thread->thread, NULL);
    pthread_mutex_destroy(&thread->lock);
    pthread_cond_destroy(&thread->wake);
    mem_free(thread);
}

/* Under the lock. False: the system gives no thread. */
static bool start(struct usage_thread *thread)
{
    if (!thread->is_started)
        thread->is_started = thread_start(&thread->thread, answer_questions, thread) == 0;
    return thread->is_started;
}

void usage_thread_ask(struct usage_thread *thread, struct usage *usage, const struct store_home *home,
                      void (*on_usage)(void *arg, const struct usage *usage), void *arg)
{
    struct question *question = mem_zero(sizeof *question);
    bool is_taken;

    question->usage = usage;
    question->on_usage = on_usage;
    question->arg = arg;
    if (home)
        question->home = *home;
    pthread_mutex_lock(&thread->lock);
    is_taken = thread->count < QUESTIONS_MAX && start(thread);
    if (is_taken) {
        *thread->last = question;
        thread->last = &question->next;
        thread->count++;
        pthread_cond_signal(&thread->wake);
    }
    pthread_mutex_unlock(&thread->lock);
    if (!is_taken)
        refuse(question);
}
