/* SPDX-License-Identifier: Apache-2.0 */
#include "importer/credentials.h"

#include <string.h>

#include "net/url.h"

/* A path has no server to tell anything to. What is no URL after all is refused when it is opened;
 * until then it counts as foreign. */
static bool may_see(const struct sw_url *image, const char *other)
{
    sw_autourl struct sw_url url = { 0 };
    struct sw_err ignored = { 0 };

    if (!other || strncasecmp(other, "http", 4) != 0)
        return true;
    return sw_url_parse(other, &url, &ignored) == 0 && sw_url_same_origin(image, &url);
}

static bool all_may_see(const char *image, const char *const *others, size_t n)
{
    sw_autourl struct sw_url url = { 0 };
    struct sw_err ignored = { 0 };

    if (sw_url_parse(image, &url, &ignored) < 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!may_see(&url, others[i]))
            return false;
    }
    return true;
}

void sw_http_options_for(const struct sw_http_options *http, const char *image,
                         const char *const *others, size_t n, struct sw_http_options *ret)
{
    *ret = *http;
    if (all_may_see(image, others, n))
        return;
    ret->user = ret->password = NULL;
    ret->headers = NULL;
    ret->n_headers = 0;
    ret->cert_file = ret->key_file = NULL;
}
