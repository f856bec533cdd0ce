/* SPDX-License-Identifier: Apache-2.0 */
#include "importer/env.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/bytes.h"
#include "common/fileio.h"
#include "common/parse.h"

#define HEADER_PREFIX "IMPORTER_EXTRA_HEADER_"
#define HEADER_FILE_MAX ((size_t)64 << 10)
#define METRICS_PORT 8443

uint64_t sw_usable_size(uint64_t space, double overhead)
{
    uint64_t inner = (uint64_t)ceil((double)space / (1 + overhead));

    return sw_align_down(inner, SW_MIB);
}

/* --- Variables ------------------------------------------------------------------------------- */

/* The value of NAME, or NULL. */
static const char *find(char *const *variables, const char *name)
{
    size_t n = strlen(name);

    for (; *variables; variables++) {
        if (strncmp(*variables, name, n) == 0 && (*variables)[n] == '=')
            return *variables + n + 1;
    }
    return NULL;
}

static const char *get(char *const *variables, const char *name, const char *otherwise)
{
    const char *value = find(variables, name);

    return value && *value ? value : otherwise;
}

static int add_header(struct sw_importer_env *env, const char *line, struct sw_err *err)
{
    size_t n = strlen(line);

    while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
        n--;
    if (!memchr(line, ':', n))
        return 0;
    if (env->n_headers == SW_IMPORTER_HEADERS_MAX)
        return sw_err_set(err, SW_ERR_USAGE, "more than %d extra headers", SW_IMPORTER_HEADERS_MAX);
    env->headers[env->n_headers] = strndup(line, n);
    if (!env->headers[env->n_headers])
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    env->n_headers++;
    return 0;
}

static int read_env_headers(char *const *variables, struct sw_importer_env *env, struct sw_err *err)
{
    for (; *variables; variables++) {
        const char *value = strchr(*variables, '=');

        if (strncmp(*variables, HEADER_PREFIX, strlen(HEADER_PREFIX)) == 0 && value &&
            add_header(env, value + 1, err) < 0)
            return -1;
    }
    return 0;
}

/* A fraction from 0 to 1; anything else counts as 0 (contract 1.2). */
static double parse_overhead(const char *text)
{
    char *end;
    double v = strtod(text, &end);

    return end != text && !*end && v >= 0 && v <= 1 ? v : 0;
}

static bool parse_lenient_bool(const char *text)
{
    struct sw_err ignored = { 0 };
    bool v = false;

    return sw_parse_bool(text, &v, &ignored) == 0 && v;
}

static int read_numbers(char *const *variables, struct sw_importer_env *env, struct sw_err *err)
{
    const char *size = get(variables, "IMPORTER_IMAGE_SIZE", "");
    const char *port = get(variables, "SLIPWAY_METRICS_PORT", NULL);
    uint64_t number = METRICS_PORT;

    if (sw_parse_bool(get(variables, "PREALLOCATION", ""), &env->preallocation, err) < 0)
        return sw_err_wrap(err, "PREALLOCATION");
    if (*size && sw_parse_size(size, &env->image_size, err) < 0)
        return sw_err_wrap(err, "IMPORTER_IMAGE_SIZE");
    if (port && sw_parse_u64(port, 0, UINT16_MAX, &number, err) < 0)
        return sw_err_wrap(err, "SLIPWAY_METRICS_PORT");
    env->has_image_size = *size != '\0';
    env->metrics_port = (uint16_t)number;
    env->overhead = parse_overhead(get(variables, "FILESYSTEM_OVERHEAD", ""));
    env->insecure = parse_lenient_bool(get(variables, "INSECURE_TLS", ""));
    return 0;
}

static int read_root(char *const *variables, struct sw_importer_env *env, struct sw_err *err)
{
    const char *root = get(variables, "SLIPWAY_ROOT", "");
    size_t n = strlen(root);

    while (n && root[n - 1] == '/')
        n--;
    env->root = strndup(root, n);
    return env->root ? 0 : sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
}

int sw_importer_env_read(char *const *variables, struct sw_importer_env *ret, struct sw_err *err)
{
    *ret = (struct sw_importer_env){
        .source = get(variables, "IMPORTER_SOURCE", ""),
        .endpoint = get(variables, "IMPORTER_ENDPOINT", ""),
        .content_type = get(variables, "IMPORTER_CONTENTTYPE", "kubevirt"),
        .owner_uid = get(variables, "OWNER_UID", ""),
        .checksum = get(variables, "IMPORTER_CHECKSUM", ""),
        .ready_file = get(variables, "IMPORTER_READY_FILE", ""),
        .done_file = get(variables, "IMPORTER_DONE_FILE", ""),
        .pull_method = get(variables, "IMPORTER_PULL_METHOD", ""),
        .expect_arch = get(variables, "SLIPWAY_EXPECT_ARCH", NULL),
        .checksum_url = get(variables, "SLIPWAY_CHECKSUM_URL", NULL),
        .signature = get(variables, "SLIPWAY_SIGNATURE", NULL),
        .keyring = get(variables, "SLIPWAY_KEYRING", NULL),
        .user = get(variables, "IMPORTER_ACCESS_KEY_ID", NULL),
        .password = get(variables, "IMPORTER_SECRET_KEY", NULL),
        .has_cert_dir = get(variables, "IMPORTER_CERT_DIR", NULL) != NULL,
    };
    ret->is_archive = strcmp(ret->content_type, "archive") == 0;
    if (!ret->user || !ret->password) /* only both halves make a pair (contract 1.6) */
        ret->user = ret->password = NULL;
    if (read_root(variables, ret, err) < 0 || read_numbers(variables, ret, err) < 0)
        return -1;
    return read_env_headers(variables, ret, err);
}

/* --- Header files ---------------------------------------------------------------------------- */

char *sw_importer_path(const struct sw_importer_env *env, const char *path)
{
    char *full = NULL;

    return asprintf(&full, "%s%s", env->root, path) < 0 ? NULL : full;
}

static int visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static bool is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static int read_header_file(void *ctx, const char *path, struct sw_err *err)
{
    sw_autofree char *text = NULL;

    if (!is_file(path))
        return 0;
    if (sw_file_slurp(path, HEADER_FILE_MAX, &text, NULL, err) < 0)
        return -1;
    int done = add_header(ctx, text, err);
    explicit_bzero(text, strlen(text));
    return done;
}

/* Call each() for every visible entry of a directory, by name (numbers in their order). */
static int each_entry(const char *dir, int (*each)(void *ctx, const char *path, struct sw_err *err),
                      void *ctx, struct sw_err *err)
{
    struct dirent **entries = NULL;
    int n = scandir(dir, &entries, visible, versionsort);
    int done = 0;

    if (n < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : sw_err_sys(err, errno, "list '%s'", dir);
    for (int i = 0; i < n; i++) {
        sw_autofree char *path = NULL;

        if (done == 0 && asprintf(&path, "%s/%s", dir, entries[i]->d_name) < 0)
            path = NULL;
        if (done == 0)
            done = path ? each(ctx, path, err) : sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
        free(entries[i]);
    }
    free(entries);
    return done;
}

static int read_header_dir(void *ctx, const char *path, struct sw_err *err)
{
    return each_entry(path, read_header_file, ctx, err);
}

int sw_importer_env_read_headers(struct sw_importer_env *env, struct sw_err *err)
{
    sw_autofree char *dir = sw_importer_path(env, "/extraheaders");

    if (!dir)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    return each_entry(dir, read_header_dir, env, err);
}

void sw_importer_env_done(struct sw_importer_env *env)
{
    for (unsigned i = 0; i < env->n_headers; i++) {
        explicit_bzero(env->headers[i], strlen(env->headers[i]));
        free(env->headers[i]);
    }
    free(env->root);
    *env = (struct sw_importer_env){ 0 };
}
