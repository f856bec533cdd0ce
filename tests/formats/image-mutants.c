/* SPDX-License-Identifier: Apache-2.0 */
/* image-mutants FORMAT IMAGE STEP OFFSET:LENGTH...: read every truncation of a small image (every
 * STEPth of a larger one), and the image with every single bit of these ranges flipped, as a file and
 * as a stream. Prints a line for each one
 * that was accepted, with the CRC-32 of the disk that came out:
 *
 *   cut SIZE GUEST-BYTES CRC
 *   flip OFFSET BIT GUEST-BYTES CRC
 *
 * and "total N" at the end. Whether the disks are right is for test_mutants.py to say. What ends the
 * program here: a crash, a broken contract (read_image.c), a read of more than two seconds, an error
 * of another kind than bad_data or unsupported, more memory than the limits allow, a stream that
 * accepts what a file does not, or makes another disk of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>

#include "common/fileio.h"
#include "common/parse.h"
#include "tests/formats/read_image.h"

#define SECONDS_MAX 2
/* A sanitizer's shadow and quarantine are not what is measured. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

#define RSS_MAX_KIB (192 * 1024) /* the limits below, the reader's copies, a sanitizer's shadow */

static const struct sw_limits limits = { .guest_size = 4 << 20,
                                         .table_memory = 4 << 20,
                                         .decoder_memory = 1 << 20 };

static const char *prefix; /* of every message about the image: "qcow2: " */
static struct read_how ways[] = {
    { .seek = true },
    { .seek = true, .only_needed = true, .piece = 1500 },
    { .piece = 1500 },
};

static unsigned long total;

static void die(const char *what, const char *label, const struct sw_err *err)
{
    printf("FAILED %s: %s: %s\n", label, what, err ? err->msg : "");
    exit(1);
}

static void read_all_ways(struct sw_span file, const char *label)
{
    struct disk disks[SW_COUNT(ways)];
    int rc[SW_COUNT(ways)] = { 0 };

    total++;
    for (size_t i = 0; i < SW_COUNT(ways); i++) {
        struct sw_err err = { 0 };

        alarm(SECONDS_MAX);
        rc[i] = read_image(file, &ways[i], &limits, &disks[i], &err);
        if (rc[i] < 0 && err.kind != SW_ERR_BAD_DATA && err.kind != SW_ERR_UNSUPPORTED)
            die("wrong kind of error", label, &err);
        if (rc[i] < 0 && strncmp(err.msg, prefix, strlen(prefix)) != 0 &&
            !strstr(err.msg, "used twice") && !strstr(err.msg, "inflate") &&
            !strstr(err.msg, "deflate"))
            die("a message that does not say what it is about", label, &err);
        if (rc[i] == 0 && (rc[0] < 0 || disks[i].n != disks[0].n ||
                           (disks[0].n && memcmp(disks[i].p, disks[0].p, disks[0].n) != 0)))
            die("the ways of reading disagree", label, NULL);
    }
    if (rc[0] == 0)
        printf("%s %llu %08lx\n", label, (unsigned long long)disks[0].n,
               crc32(0, disks[0].p, (uInt)disks[0].n));
    for (size_t i = 0; i < SW_COUNT(ways); i++)
        disk_done(&disks[i]);
}

static void truncations(struct sw_span file, size_t step)
{
    char label[64];

    for (size_t n = 0; n < file.n; n += step) {
        snprintf(label, sizeof(label), "cut %zu", n);
        read_all_ways((struct sw_span){ file.p, n }, label);
    }
}

static void flips(uint8_t *bytes, size_t n, size_t from, size_t len)
{
    char label[64];

    for (size_t at = from; at < from + len && at < n; at++) {
        for (int bit = 0; bit < 8; bit++) {
            bytes[at] ^= (uint8_t)(1 << bit);
            snprintf(label, sizeof(label), "flip %zu %d", at, bit);
            read_all_ways((struct sw_span){ bytes, n }, label);
            bytes[at] ^= (uint8_t)(1 << bit);
        }
    }
}

/* "vhd_fixed" is what only tests have to name. */
static void set_format(const char *name)
{
    static char text[32];
    struct sw_err err = { 0 };
    enum sw_format format = SW_FORMAT_VHD_FIXED;

    if (strcmp(name, "vhd_fixed") != 0 && sw_format_parse(name, &format, &err) < 0)
        die("format", name, &err);
    for (size_t i = 0; i < SW_COUNT(ways); i++)
        ways[i].format = format;
    snprintf(text, sizeof(text), "%s: ", sw_format_name(format));
    prefix = text;
}

static void all_flips(uint8_t *bytes, size_t n, char *range)
{
    struct sw_err err = { 0 };
    char *colon = strchr(range, ':');
    uint64_t from = 0, len = 0;

    if (!colon)
        die("not OFFSET:LENGTH", range, NULL);
    *colon = '\0';
    if (sw_parse_u64(range, 0, n, &from, &err) < 0 || sw_parse_u64(colon + 1, 0, n, &len, &err) < 0)
        die("range", range, &err);
    flips(bytes, n, from, len);
}

int main(int argc, char **argv)
{
    struct sw_err err = { 0 };
    struct rusage usage;
    char *text = NULL;
    size_t n = 0;
    uint64_t step = 0;

    if (argc < 4 || sw_file_slurp(argv[2], 16 << 20, &text, &n, &err) < 0 ||
        sw_parse_u64(argv[3], 1, SIZE_MAX, &step, &err) < 0)
        die("read", argc < 4 ? "nothing" : argv[2], &err);
    set_format(argv[1]);

    uint8_t *bytes = malloc(n);
    memcpy(bytes, text, n);
    free(text);
    truncations((struct sw_span){ bytes, n }, step);
    for (int i = 4; i < argc; i++)
        all_flips(bytes, n, argv[i]);
    free(bytes);
    getrusage(RUSAGE_SELF, &usage);
    if (!SANITIZED && usage.ru_maxrss > RSS_MAX_KIB)
        die("too much memory", "peak", NULL);
    printf("total %lu %ld\n", total, usage.ru_maxrss);
    return 0;
}
