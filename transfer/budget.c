/* SPDX-License-Identifier: Apache-2.0 */
/* How much memory the pipe may take. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/fileio.h"
#include "common/parse.h"
#include "transfer/import.h"

#define DEFAULT_BUDGET (64 * SW_MIB)
#define LEAST_BUDGET (16 * SW_MIB)

/* One number in a small file; UINT64_MAX when it is not there or says "max". */
static uint64_t read_number(const char *path)
{
    struct sw_err err = { 0 };
    sw_autofree char *text = NULL;
    uint64_t v;

    if (sw_file_slurp(path, 64, &text, NULL, &err) < 0)
        return UINT64_MAX;
    text[strcspn(text, "\n")] = '\0';
    if (sw_parse_u64(text, 0, UINT64_MAX, &v, &err) < 0)
        return UINT64_MAX;
    return v;
}

/* A container sees its own cgroup at the root of the mount; outside of one the root has no limit
 * (version 2) or an absurdly high one (version 1). */
static uint64_t cgroup_limit(void)
{
    uint64_t v2 = read_number("/sys/fs/cgroup/memory.max");
    uint64_t v1 = read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes");

    return sw_min_u64(v1, v2);
}

uint64_t sw_memory_budget(uint64_t wanted)
{
    uint64_t budget = wanted ? wanted : DEFAULT_BUDGET;
    uint64_t limit = cgroup_limit();

    if (limit / 2 < budget)
        budget = limit / 2;
    return sw_max_u64(budget, LEAST_BUDGET);
}
