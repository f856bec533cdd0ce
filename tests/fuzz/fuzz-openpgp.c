/* SPDX-License-Identifier: Apache-2.0 */
/* A keyring of any bytes through the armor decoder, and the same bytes as if gpgv had said them. */
#include <stdlib.h>
#include <string.h>

#include "importer/openpgp_status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sw_span span = { data, size };
    struct sw_pgp_signer who = { 0 };
    struct sw_err err = { 0 };
    uint8_t *out = NULL;
    unsigned texts = 0;
    size_t n = 0;

    if (sw_pgp_dearmor(span, &out, &n, &err) == 0 && (n == 0 || n > size))
        abort();
    free(out);
    if (sw_pgp_judge_status(span, &who, &texts, &err) == 0 &&
        (strlen(who.fingerprint) < 40 || strlen(who.fingerprint) > 64 ||
         strlen(who.user) >= sizeof(who.user)))
        abort();
    if (sw_pgp_is_clear_signed(span) && sw_pgp_is_signature(span))
        abort();
    return 0;
}
