/* SPDX-License-Identifier: Apache-2.0 */
/* Judge what gpgv wrote to its status descriptor. Pure. Source: GnuPG doc/DETAILS. */
#ifndef SW_IMPORTER_OPENPGP_STATUS_H
#define SW_IMPORTER_OPENPGP_STATUS_H

#include "importer/openpgp.h"

/* 0 and the first signature that counts (rules: importer/openpgp.h), or -1 with SW_ERR_DENIED.
 * ret_plaintexts (may be NULL) gets how many texts the document held: more than one cannot be told
 * apart in the output. */
SW_MUST_CHECK
int sw_pgp_judge_status(struct sw_span status, struct sw_pgp_signer *ret, unsigned *ret_plaintexts,
                        struct sw_err *err);

#endif
