/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over every file of the directories given: the seeds and past crashes as an
 * ordinary test, with any compiler. Fails when a directory holds no file. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/fileio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
    struct sw_err err = { 0 };
    sw_autofree char *text = NULL;
    size_t len = 0;

    if (sw_file_slurp(path, 64 << 20, &text, &len, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        return -1;
    }

    /* A block of exactly this size: ASan then sees a one-byte overrun. */
    sw_autofree uint8_t *exact = malloc(len ? len : 1);
    if (!exact)
        return -1;
    for (size_t i = 0; i < len; i++)
        exact[i] = (uint8_t)text[i];
    return LLVMFuzzerTestOneInput(exact, len);
}

static int run_dir(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    int n = 0;

    if (!d) {
        perror(dir);
        return -1;
    }
    while ((e = readdir(d))) {
        char path[4096];

        if (e->d_name[0] == '.')
            continue;
        if (snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) >= (int)sizeof(path) ||
            run_file(path) < 0) {
            n = -1;
            break;
        }
        n++;
    }
    closedir(d);
    return n;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        int n = run_dir(argv[i]);

        if (n <= 0) {
            fprintf(stderr, "%s: %s\n", argv[i], n ? "failed" : "no seeds");
            return 1;
        }
        printf("%d seeds of %s\n", n, argv[i]);
    }
    return 0;
}
