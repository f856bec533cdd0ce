/* SPDX-License-Identifier: Apache-2.0 */
/* What libcurl's result codes mean to us. Inside net/ only. Pure; any thread. */
#ifndef SW_NET_CURL_KIND_H
#define SW_NET_CURL_KIND_H

#include <curl/curl.h>

#include "common/error.h"

/* The kind of a transfer's end with rc (not CURLE_OK), the text of CURLOPT_ERRORBUFFER, on this
 * handle: SW_ERR_DENIED (TLS, a proxy that refuses), SW_ERR_UNSUPPORTED, SW_ERR_USAGE,
 * SW_ERR_INTERNAL, and SW_ERR_TRANSIENT for everything else. */
enum sw_err_kind sw_curl_kind(CURL *easy, CURLcode rc, const char *reason);

/* Trust the system's roots: libcurl's built-in path, or SSL_CERT_FILE as for every program that uses
 * OpenSSL. A container without any bundle still works with the roots it is given besides. */
void sw_curl_set_system_roots(CURL *easy);

#endif
