/* SPDX-License-Identifier: Apache-2.0 */
/* import-many: run the engine for every line of standard input, in one process.
 *
 *   LABEL <tab> HOW <tab> SOURCE <tab> TARGET <tab> ORACLE <tab> MEMORY_MIB
 *
 * HOW: "open" takes SOURCE as the command would (path, URL); "pipe" feeds the file SOURCE through
 * standard input. ORACLE: a raw file that the target must equal, or "-". MEMORY_MIB: 0 for the
 * default. Prints for each line
 *
 *   LABEL <tab> KIND <tab> SAME <tab> PARKED <tab> FETCHED <tab> MESSAGE
 *
 * KIND: "none" for success or the kind of error; SAME: "same", "differs", "-" (nothing to compare).
 * Judging is the caller's. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fileio.h"
#include "common/parse.h"
#include "importer/sources.h"
#include "transfer/import.h"

struct job {
    char *label, *how, *source, *target, *oracle, *memory;
};

struct feeder {
    int in, out;
};

static void *feed(void *arg)
{
    struct feeder *f = arg;
    char buf[65536];
    ssize_t n;

    while ((n = read(f->in, buf, sizeof(buf))) > 0) {
        for (ssize_t done = 0; done < n;) {
            ssize_t w = write(f->out, buf + done, (size_t)(n - done));

            if (w < 0)
                goto out; /* the engine refused the image and closed its end */
            done += w;
        }
    }
out:
    close(f->in);
    close(f->out);
    return NULL;
}

/* Put the file behind standard input, as a pipe. */
static int start_pipe(const char *path, struct feeder *f, pthread_t *thread)
{
    int ends[2];

    f->in = open(path, O_RDONLY | O_CLOEXEC);
    if (f->in < 0 || pipe2(ends, O_CLOEXEC) < 0 || dup2(ends[0], 0) < 0) {
        perror(path);
        return -1;
    }
    close(ends[0]);
    f->out = ends[1];
    return pthread_create(thread, NULL, feed, f) ? -1 : 0;
}

static const uint8_t *map_file(const char *path, size_t *ret_n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    void *p;

    if (fd < 0 || fstat(fd, &st) < 0)
        return NULL;
    *ret_n = (size_t)st.st_size;
    p = st.st_size ? mmap(NULL, *ret_n, PROT_READ, MAP_PRIVATE, fd, 0) : (void *)"";
    close(fd);
    return p == MAP_FAILED ? NULL : p;
}

static void unmap_file(const uint8_t *p, size_t n)
{
    if (p && n)
        munmap((void *)p, n);
}

/* The next offset at or after pos that is data, not a hole. */
static size_t next_data(int fd, size_t pos, size_t end)
{
    off_t at = lseek(fd, (off_t)pos, SEEK_DATA);

    return at < 0 ? (errno == ENXIO ? end : pos) : (size_t)at;
}

/* Compare where at least one of the two has data, in steps of 1 MiB. */
static const char *compare(const char *target, const char *oracle)
{
    size_t n = 0, m = 0;
    const uint8_t *a = map_file(target, &n), *b = map_file(oracle, &m);
    sw_autoclose int fa = open(target, O_RDONLY | O_CLOEXEC);
    sw_autoclose int fb = open(oracle, O_RDONLY | O_CLOEXEC);
    bool same = a && b && n == m && fa >= 0 && fb >= 0;

    for (size_t at = 0; same && at < n;) {
        size_t da = next_data(fa, at, n), db = next_data(fb, at, n);
        size_t from = da < db ? da : db;
        size_t len = n - from < (1 << 20) ? n - from : 1 << 20;

        if (from < n)
            same = memcmp(a + from, b + from, len) == 0;
        at = from + len;
    }
    unmap_file(a, n);
    unmap_file(b, m);
    return same ? "same" : "differs";
}

static int run_import(const struct job *j, struct sw_import_result *r, struct sw_err *err)
{
    struct sw_cancel cancel;
    struct sw_source *source;
    uint64_t memory = 0;

    if (sw_cancel_init(&cancel, err) < 0 || sw_parse_u64(j->memory, 0, 65536, &memory, err) < 0)
        return -1;

    const struct sw_http_options http = { .cancel = &cancel, .stall_ns = 3000000000, .retries = 3 };
    const struct sw_import_options o = {
        .uid = -1, .gid = -1, .cancel = &cancel, .memory = memory << 20
    };
    int rc = sw_source_open(strcmp(j->how, "pipe") == 0 ? "-" : j->source, &http, &source, err);
    if (rc == 0) {
        rc = sw_import_run(source, j->target, &o, r, err);
        sw_source_close(source);
    }
    sw_cancel_done(&cancel);
    return rc;
}

static int run_job(const struct job *j)
{
    struct sw_import_result r = { 0 };
    struct sw_err err = { 0 };
    struct feeder f;
    pthread_t thread;
    bool piped = strcmp(j->how, "pipe") == 0;

    if (piped && start_pipe(j->source, &f, &thread) < 0)
        return -1;
    int rc = run_import(j, &r, &err);
    if (piped) {
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

        dup2(null, 0); /* a feeder that still writes hears of it */
        close(null);
        pthread_join(thread, NULL);
    }
    const char *same = rc < 0 || strcmp(j->oracle, "-") == 0 ? "-" : compare(j->target, j->oracle);
    printf("%s\t%s\t%s\t%llu\t%llu\t%s\n", j->label, sw_err_kind_name(err.kind), same,
           (unsigned long long)r.parked, (unsigned long long)r.fetched, err.msg);
    fflush(stdout);
    if (strcmp(j->target, "/dev/null") != 0)
        unlink(j->target);
    return 0;
}

static bool split(char *line, struct job *j)
{
    line[strcspn(line, "\n")] = '\0';
    j->label = strsep(&line, "\t");
    j->how = strsep(&line, "\t");
    j->source = strsep(&line, "\t");
    j->target = strsep(&line, "\t");
    j->oracle = strsep(&line, "\t");
    j->memory = line;
    return j->memory != NULL;
}

int main(void)
{
    struct sw_err err = { 0 };
    sw_autofree char *list = NULL;
    char *next, *line;

    signal(SIGPIPE, SIG_IGN);
    /* The list is read whole: standard input is what images come through. */
    if (sw_file_slurp("/dev/stdin", 64 << 20, &list, NULL, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    next = list;
    while ((line = strsep(&next, "\n"))) {
        struct job j;

        if (!*line)
            continue;
        if (!split(line, &j) || run_job(&j) < 0)
            return 1;
    }
    return 0;
}
