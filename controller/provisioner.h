/* SPDX-License-Identifier: Apache-2.0 */
/* Which kinds of claims a storage class can serve, by what is known of its provisioner (contract storage
 * 4). Pure; any thread. */
#ifndef SW_CONTROLLER_PROVISIONER_H
#define SW_CONTROLLER_PROVISIONER_H

#include <stdbool.h>
#include <stddef.h>

#include "common/json.h"

struct sw_provisioner {
    const char *key;
    const char *sets;  /* "XB OB OF": see provisioner_table.c; NULL: not known */
    const char *clone; /* advised strategy; NULL: none                         */
    bool cron_wants_snapshot;
    const char *min_size; /* NULL: none */
};

extern const struct sw_provisioner sw_provisioner_table[];
extern const size_t sw_provisioner_count;

/* The key of a StorageClass: its provisioner, with a suffix that its parameters ask for. "UNKNOWN" when
 * it is one whose parameters decide, and these are not known. Put into text of SW_PROVISIONER_KEY_MAX
 * bytes (cut when longer: no key of the table is). */
#define SW_PROVISIONER_KEY_MAX 128
#define SW_PROVISIONER_UNKNOWN "UNKNOWN"
void sw_provisioner_key(const struct sw_json *class, char *text);

/* The row of that key, NULL when there is none. */
const struct sw_provisioner *sw_provisioner_find(const char *key);

#endif
