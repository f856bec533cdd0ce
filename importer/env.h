/* SPDX-License-Identifier: Apache-2.0 */
/* The environment of the importer pod (contract importer 1.2 and 1.3): variables and mounted files.
 *
 * $SLIPWAY_ROOT, when set, is put in front of every path ("/data" becomes "$SLIPWAY_ROOT/data"), so
 * that the program runs in a directory of a test as it does in a pod. $SLIPWAY_METRICS_PORT replaces
 * port 8443.
 *
 * Values are untrusted (a user's annotations); none of them is echoed in a message but for names and
 * numbers. Main thread only. */
#ifndef SW_IMPORTER_ENV_H
#define SW_IMPORTER_ENV_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

#define SW_IMPORTER_HEADERS_MAX 256

struct sw_importer_env {
    const char *source;       /* IMPORTER_SOURCE; "" when missing; borrowed like all const ones  */
    const char *endpoint;     /* "" when missing                                                 */
    const char *content_type; /* "kubevirt" when missing                                         */
    bool is_archive;          /* ... is "archive": /data becomes the files of a tar archive      */
    const char *owner_uid;
    const char *checksum; /* "" when none is asked for                                       */
    const char *user, *password;
    const char *ready_file, *done_file; /* node pull; "" otherwise                               */
    const char *pull_method;
    const char *expect_arch;  /* SLIPWAY_EXPECT_ARCH; NULL: any                                  */
    const char *checksum_url; /* SLIPWAY_CHECKSUM_URL; NULL: none                                */
    const char *signature;    /* SLIPWAY_SIGNATURE; NULL: none                                   */
    const char *keyring;      /* SLIPWAY_KEYRING, a path below the root; NULL: none              */
    bool has_image_size;
    uint64_t image_size; /* bytes of the claim's request                                    */
    double overhead;     /* of a filesystem, 0 to 1                                         */
    bool insecure;
    bool preallocation;
    bool has_cert_dir;
    uint16_t metrics_port;

    char *root; /* "" or a directory without a '/' at its end; owned                */
    char *headers[SW_IMPORTER_HEADERS_MAX]; /* "Name: value"; owned                               */
    unsigned n_headers;
};

/* Read the variables of `variables`, an array of "NAME=value" that ends with NULL and is borrowed.
 * -1 with SW_ERR_USAGE that names the variable: PREALLOCATION is not a boolean,
 * IMPORTER_IMAGE_SIZE not a quantity, too many headers. As the contract has it, a malformed
 * FILESYSTEM_OVERHEAD is 0 and a malformed INSECURE_TLS false. After failure as after success the
 * caller owes sw_importer_env_done(). */
SW_MUST_CHECK
int sw_importer_env_read(char *const *variables, struct sw_importer_env *ret, struct sw_err *err);

/* Append the headers in the files /extraheaders/<i>/<key> (names beginning with '.' and directories
 * below are skipped; no such directory is fine). Line ends at the end of a value are cut off; a
 * value without a ':' is ignored. */
SW_MUST_CHECK
int sw_importer_env_read_headers(struct sw_importer_env *env, struct sw_err *err);

void sw_importer_env_done(struct sw_importer_env *env);

/* `path` below the root, as a string to be freed; NULL when out of memory. */
char *sw_importer_path(const struct sw_importer_env *env, const char *path);

/* The part of `space` bytes that a file may fill: floor to 1 MiB of ceil(space / (1 + overhead)),
 * in the same floating-point arithmetic as the cluster's controller uses (contract formats 4.5).
 * overhead is from 0 to 1, space below 2^62. */
uint64_t sw_usable_size(uint64_t space, double overhead);

#endif
