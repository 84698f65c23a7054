/* SPDX-License-Identifier: MIT
 *
 * A lock for many readers or one writer, first come first served: a writer that waits holds back readers that come
 * after it, so neither side starves the other. Locks are handed over, as a mutex is. The writer is known; a task that
 * ends while it has the write lock is reported, and the lock passes on. Readers are only counted: who forgets to unlock
 * is not found. Tasks of all shards of the runtime it was made in may use it.
 */
#ifndef UVTASK_RWLOCK_H
#define UVTASK_RWLOCK_H

#include <uvtask/base.h>
#include <uvtask/select.h>
#include <uvtask/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The caller's memory, fields private; nothing to free, but no task may hold it or wait for it when it goes away. */
typedef struct uvt_rwlock {
    uvt__line_t line; /* readers and writers */
    uvt__res_t held;  /* its owner is the writer, NULL: none */
    unsigned readers; /* how many hold it */
    unsigned limit;   /* most readers at once */
} uvt_rwlock_t;

/* A free lock for at most `readers` readers at once (0: no bound but INT32_MAX). Its place in the source is kept for
 * reports.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: UV_EINVAL readers beyond INT32_MAX */
#define uvt_rwlock_init(rw, readers) uvt_rwlock_init_at((rw), (readers), UVT_SITE("write lock " #rw))
/* What the macro calls: site is a UVT_SITE string that outlives the lock.
 * Suspends: never - On cancel: no effect - Thread: loop
 * Errors: UV_EINVAL readers beyond INT32_MAX, site is NULL */
UVT_EXTERN int uvt_rwlock_init_at(uvt_rwlock_t *rw, unsigned readers, const char *site);

/* One more reader, behind a writer that waits. A task that reads already waits for that writer, too, who waits for it:
 * do not lock twice.
 * Suspends: may - On cancel: UV_ECANCELED, not locked - Thread: task - Errors: UVT_EDEADLK the caller is the writer */
UVT_EXTERN int uvt_rwlock_read_lock(uvt_rwlock_t *rw);
/* The only one, when the readers and writers before it have left.
 * Suspends: may - On cancel: UV_ECANCELED, not locked - Thread: task - Errors: UVT_EDEADLK the caller is the writer */
UVT_EXTERN int uvt_rwlock_write_lock(uvt_rwlock_t *rw);
/* As uvt_rwlock_read_lock, never waiting.
 * Suspends: never - On cancel: no effect - Thread: task
 * Errors: UV_EBUSY there is a writer, or somebody waits, or there are as many readers as may be; UVT_EDEADLK the caller
 *         is the writer */
UVT_EXTERN int uvt_rwlock_try_read_lock(uvt_rwlock_t *rw);
/* As uvt_rwlock_write_lock, never waiting.
 * Suspends: never - On cancel: no effect - Thread: task
 * Errors: UV_EBUSY others have it; UVT_EDEADLK the caller is the writer */
UVT_EXTERN int uvt_rwlock_try_write_lock(uvt_rwlock_t *rw);

/* One reader less.
 * Suspends: never - On cancel: no effect - Thread: task - Errors: UV_EPERM there is no reader */
UVT_EXTERN int uvt_rwlock_read_unlock(uvt_rwlock_t *rw);
/* No writer any more.
 * Suspends: never - On cancel: no effect - Thread: task - Errors: UV_EPERM the calling task is not the writer */
UVT_EXTERN int uvt_rwlock_write_unlock(uvt_rwlock_t *rw);
/* The writer becomes a reader; nobody writes in between. Readers that are next in line come in with it.
 * Suspends: never - On cancel: no effect - Thread: task - Errors: UV_EPERM the calling task is not the writer */
UVT_EXTERN int uvt_rwlock_downgrade(uvt_rwlock_t *rw);

/* The writer now ({0}: none), how many readers there are, and how many tasks wait.
 * Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN uvt_task_t uvt_rwlock_writer(const uvt_rwlock_t *rw);
/* Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN unsigned uvt_rwlock_readers(const uvt_rwlock_t *rw);
/* Suspends: never - On cancel: no effect - Thread: loop - Errors: none */
UVT_EXTERN unsigned uvt_rwlock_waiting(const uvt_rwlock_t *rw);

/* uvt_rwlock_read_lock(rw) as a case of a select.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: in the result: as uvt_rwlock_read_lock */
UVT_EXTERN uvt_case_t uvt_case_read_lock(uvt_rwlock_t *rw);
/* uvt_rwlock_write_lock(rw) as a case of a select.
 * Suspends: never - On cancel: no effect - Thread: any - Errors: in the result: as uvt_rwlock_write_lock */
UVT_EXTERN uvt_case_t uvt_case_write_lock(uvt_rwlock_t *rw);

#ifdef __cplusplus
}
#endif
#endif
