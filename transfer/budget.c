/* SPDX-License-Identifier: Apache-2.0 */
/* How much memory the pipe may take. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
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

/* The limit file of the cgroup at `path` below a controller's mount. */
static uint64_t limit_at(const char *mount, const char *path, const char *file)
{
    sw_autobuf struct sw_buf b = SW_BUF_INIT(4096);

    sw_buf_printf(&b, "%s%s/%s", mount, path, file);
    return b.failed ? UINT64_MAX : read_number(sw_buf_str(&b));
}

/* One line of /proc/self/cgroup: "4:memory:/a/b" (version 1) or "0::/a/b" (version 2). */
static uint64_t limit_of_line(char *line)
{
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(controllers + 1, ':') : NULL;

    if (!path)
        return UINT64_MAX;
    *path++ = '\0';
    if (strcmp(controllers, ":memory") == 0)
        return limit_at("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes");
    if (strcmp(controllers, ":") == 0)
        return limit_at("/sys/fs/cgroup", path, "memory.max");
    return UINT64_MAX;
}

/* A container usually sees its own cgroup at the root of the mount; a process outside of one is
 * told by the kernel where it is. A missing or unlimited one is UINT64_MAX or close to it. */
static uint64_t cgroup_limit(void)
{
    uint64_t limit = sw_min_u64(limit_at("/sys/fs/cgroup/memory", "", "memory.limit_in_bytes"),
                                limit_at("/sys/fs/cgroup", "", "memory.max"));
    struct sw_err err = { 0 };
    sw_autofree char *text = NULL;

    if (sw_file_slurp("/proc/self/cgroup", 65536, &text, NULL, &err) < 0)
        return limit;
    for (char *next = text, *line; (line = strsep(&next, "\n"));)
        limit = sw_min_u64(limit, limit_of_line(line));
    return limit;
}

uint64_t sw_memory_budget(uint64_t wanted)
{
    uint64_t budget = wanted ? wanted : DEFAULT_BUDGET;
    uint64_t limit = cgroup_limit();

    if (limit / 2 < budget)
        budget = limit / 2;
    return sw_max_u64(budget, LEAST_BUDGET);
}
