/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes and scope-bound cleanup used everywhere. GNU extensions (cleanup, statement
 * expressions, typeof) are confined to this header and its users in the house style. */
#ifndef SW_COMMON_MACROS_H
#define SW_COMMON_MACROS_H

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SW_MUST_CHECK __attribute__((warn_unused_result))
#define SW_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define SW_UNUSED __attribute__((unused))
#define SW_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Take the value out of an owning variable and leave NULL behind: the only way in which ownership
 * leaves a scope that has a cleanup attribute on the variable. */
#define sw_steal(p)                                                                                \
    __extension__({                                                                                \
        __typeof__(p) stolen_ = (p);                                                               \
        (p) = NULL;                                                                                \
        stolen_;                                                                                   \
    })

static inline void sw_cleanup_free(void *p)
{
    free(*(void **)p);
}

static inline void sw_cleanup_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void sw_cleanup_fclose(FILE **f)
{
    if (*f)
        fclose(*f);
}

static inline void sw_cleanup_unlock(pthread_mutex_t **m)
{
    if (*m)
        pthread_mutex_unlock(*m);
}

static inline pthread_mutex_t *sw_locked(pthread_mutex_t *m)
{
    pthread_mutex_lock(m);
    return m;
}

/* Variables with these attributes must be initialised where they are declared. */
#define sw_autofree __attribute__((cleanup(sw_cleanup_free)))
#define sw_autoclose __attribute__((cleanup(sw_cleanup_close)))
#define sw_autofclose __attribute__((cleanup(sw_cleanup_fclose)))

/* Hold a lock from here to the end of the enclosing block. */
/* NOLINTBEGIN(bugprone-macro-parentheses): a declaration, not an expression */
#define SW_LOCK_SCOPE(mutex)                                                                       \
    __attribute__((cleanup(sw_cleanup_unlock)))                                                    \
    SW_UNUSED pthread_mutex_t *scope_lock_ = sw_locked(mutex)
/* NOLINTEND(bugprone-macro-parentheses) */

#endif
