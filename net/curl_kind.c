/* SPDX-License-Identifier: Apache-2.0 */
#include "net/curl_kind.h"

#include <string.h>

enum sw_err_kind sw_curl_kind(CURL *easy, CURLcode rc, const char *reason)
{
    long connect_code = 0;

    curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &connect_code);
    switch (rc) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return SW_ERR_DENIED;
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9, too */
    case CURLE_SSL_CIPHER:
        return SW_ERR_UNSUPPORTED;
    case CURLE_URL_MALFORMAT:
        return SW_ERR_USAGE;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
    case CURLE_SSL_ENGINE_NOTFOUND:
        return SW_ERR_INTERNAL;
    default:
        break;
    }
    /* TLS peers say what they do not like about our certificate in an alert, which under TLS 1.3
     * arrives when the handshake looks finished: there is no code of its own for it. */
    if (strstr(reason, "alert") && (strstr(reason, "certificate") || strstr(reason, "unknown ca") ||
                                    strstr(reason, "access denied")))
        return SW_ERR_DENIED;
    if (connect_code >= 400 && connect_code < 500 && connect_code != 408 && connect_code != 429)
        return SW_ERR_DENIED;
    return SW_ERR_TRANSIENT;
}

void sw_curl_set_system_roots(CURL *easy)
{
    const char *path = getenv("SSL_CERT_FILE");
    char *builtin = NULL;

    if (path && *path) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, path);
        return;
    }
    curl_easy_getinfo(easy, CURLINFO_CAINFO, &builtin);
    if (builtin && access(builtin, R_OK) < 0)
        curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
}
