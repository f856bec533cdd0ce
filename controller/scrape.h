/* SPDX-License-Identifier: Apache-2.0 */
/* Progress of running imports: asks each pod's metrics page every few seconds, as long as a plan
 * wants it, and keeps the last value per key. A pod that does not answer is asked again the next
 * time; nothing follows from it.
 *
 * One thread: the loop's. At most SW_SCRAPES_MAX pages are asked for at once; a round that finds no
 * room is skipped. */
#ifndef SW_CONTROLLER_SCRAPE_H
#define SW_CONTROLLER_SCRAPE_H

#include <stdint.h>

#include "controller/action.h"
#include "net/http_async.h"

#define SW_SCRAPES_MAX 32

struct sw_scraper; /* opaque */

struct sw_scraper_options {
    struct sw_loop *loop;
    struct sw_http_pool *pool;
    void *ctx;
    /* The value of a key is another one now. */
    void (*on_progress)(void *ctx, const char *key);
};

struct sw_scraper_stats {
    uint64_t asked, answered; /* pages */
    size_t running;           /* keys that are scraped now */
};

SW_MUST_CHECK
int sw_scraper_open(const struct sw_scraper_options *options, struct sw_scraper **ret,
                    struct sw_err *err);
void sw_scraper_close(struct sw_scraper *s); /* accepts NULL */

/* The latest plan of a key wants this: an action "scrape", whose strings are copied. -1 with
 * SW_ERR_INTERNAL. */
SW_MUST_CHECK
int sw_scraper_want(struct sw_scraper *s, const char *key, const struct sw_action *action,
                    struct sw_err *err);

/* It wants no scraping any more; the value is kept. */
void sw_scraper_stop(struct sw_scraper *s, const char *key);

/* The last value in hundredths of a percent; -1: none yet. */
int64_t sw_scraper_progress(const struct sw_scraper *s, const char *key);

/* The key is gone: stop and forget. */
void sw_scraper_forget(struct sw_scraper *s, const char *key);

struct sw_scraper_stats sw_scraper_stats(const struct sw_scraper *s);

#endif
