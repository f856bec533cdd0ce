/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/member_name.h"

#include <stdbool.h>
#include <string.h>

#include "common/bytes.h"

const char *sw_member_shown(const char *name, char ret[SW_MEMBER_SHOWN_MAX])
{
    size_t i = 0;

    for (; i < SW_MEMBER_SHOWN_MAX - 1 && name[i]; i++)
        ret[i] = name[i] >= ' ' && name[i] <= '~' ? name[i] : '?';
    ret[i] = '\0';
    if (name[i])
        memcpy(ret + i - 3, "...", 3);
    return ret;
}

static int check_length(const char *name, const struct sw_limits *limits, struct sw_err *err)
{
    uint64_t most = sw_min_u64(limits->member_name, SW_MEMBER_PATH_MAX - 1);
    char shown[SW_MEMBER_SHOWN_MAX];
    size_t n = strlen(name);

    if (n <= most)
        return 0;
    return sw_err_set(err, SW_ERR_UNSUPPORTED,
                      "member '%s': a name of %zu bytes is longer than the limit of %llu",
                      sw_member_shown(name, shown), n, (unsigned long long)most);
}

static bool is_dots(const char *p, size_t n, size_t dots)
{
    return n == dots && memcmp(p, "..", dots) == 0;
}

/* The component at *p, which is moved behind it and its slashes. Returns its length, 0 at the end. */
static size_t next_component(const char **p, const char **ret)
{
    size_t n;

    *p += strspn(*p, "/");
    *ret = *p;
    n = strcspn(*p, "/");
    *p += n;
    return n;
}

int sw_member_path(const char *name, const struct sw_limits *limits, char ret[SW_MEMBER_PATH_MAX],
                   struct sw_err *err)
{
    const char *p = name, *part;
    char shown[SW_MEMBER_SHOWN_MAX];
    uint64_t depth = 0;
    size_t n, len = 0;

    if (check_length(name, limits, err) < 0)
        return -1;
    while ((n = next_component(&p, &part))) {
        if (is_dots(part, n, 1))
            continue;
        if (is_dots(part, n, 2))
            return sw_err_set(err, SW_ERR_BAD_DATA, "member '%s': the name contains '..'",
                              sw_member_shown(name, shown));
        if (++depth > limits->member_depth)
            return sw_err_set(err, SW_ERR_UNSUPPORTED,
                              "member '%s' lies deeper than the limit of %llu directories",
                              sw_member_shown(name, shown),
                              (unsigned long long)limits->member_depth);
        if (len)
            ret[len++] = '/';
        memcpy(ret + len, part, n);
        len += n;
    }
    ret[len] = '\0';
    return 0;
}

static unsigned depth_of(const char *path)
{
    unsigned depth = 0;

    for (; *path; path++)
        depth += *path == '/';
    return depth;
}

static int bad_link(const char *path, const char *target, const char *why, struct sw_err *err)
{
    char link[SW_MEMBER_SHOWN_MAX], to[SW_MEMBER_SHOWN_MAX];

    return sw_err_set(err, SW_ERR_BAD_DATA, "member '%s': the symbolic link to '%s' %s",
                      sw_member_shown(path, link), sw_member_shown(target, to), why);
}

int sw_member_link(const char *path, const char *target, const struct sw_limits *limits,
                   struct sw_err *err)
{
    const char *p = target, *part;
    unsigned up = 0, depth = depth_of(path);
    bool down = false;
    size_t n;

    if (check_length(target, limits, err) < 0)
        return -1;
    if (!*target)
        return bad_link(path, target, "is empty", err);
    if (*target == '/')
        return bad_link(path, target, "is absolute and would lead out of the directory", err);
    while ((n = next_component(&p, &part))) {
        if (is_dots(part, n, 1))
            continue;
        if (!is_dots(part, n, 2))
            down = true;
        else if (down)
            return bad_link(path, target, "has '..' behind a name", err);
        else if (++up > depth)
            return bad_link(path, target, "leads out of the directory", err);
    }
    return 0;
}
