/* SPDX-License-Identifier: Apache-2.0 */
/* Who may see the credentials. User, password, extra headers and client certificate are given for
 * the image's server; digest lists, signatures and keyrings often lie elsewhere. */
#ifndef SW_IMPORTER_CREDENTIALS_H
#define SW_IMPORTER_CREDENTIALS_H

#include "importer/sources.h"

/* The options for fetching what goes with the image at `image`: those of http, but without anything
 * secret unless all of `others` (n URLs or paths; NULL entries are skipped) that are http or https
 * URLs have the scheme, host and port of `image`. Nothing is copied: *ret borrows what http
 * borrows. Pure; any thread. */
void sw_http_options_for(const struct sw_http_options *http, const char *image,
                         const char *const *others, size_t n, struct sw_http_options *ret);

#endif
