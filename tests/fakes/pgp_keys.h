/* SPDX-License-Identifier: Apache-2.0 */
/* Real keys and signatures, made by gpg in a temporary directory: what the tests of
 * importer/openpgp.h and importer/digest_source.h verify. Needs gpg; tests are skipped without. */
#ifndef SW_TESTS_PGP_KEYS_H
#define SW_TESTS_PGP_KEYS_H

#include <stdbool.h>

/* Runs `script` with sh in a fresh directory that is also GNUPGHOME, after the functions below have
 * been defined:
 *   key USER ALG [EXPIRE]   make a key, no passphrase
 *   sign USER ARGS...       gpg signing as USER, e.g. sign one -b -o doc.sig doc
 * Returns the directory (to be freed with pgp_keys_done), or NULL when gpg is not installed. Aborts
 * when the script fails. */
char *pgp_keys_make(const char *script);
void pgp_keys_done(char *dir);

#endif
