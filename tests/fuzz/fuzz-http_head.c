/* SPDX-License-Identifier: Apache-2.0 */
/* The head of an HTTP answer, line by line, as libcurl hands it over. */
#include <assert.h>
#include <string.h>

#include "net/http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct sw_http_head *h)
{
    assert(h->status == 0 || (h->status >= 100 && h->status <= 599));
    assert(strlen(h->etag) < SW_HTTP_VALUE_MAX && strlen(h->modified) < SW_HTTP_VALUE_MAX);
    assert(strlen(h->location) < SW_HTTP_LOCATION_MAX && strlen(h->reason) < sizeof(h->reason));
    if (h->range == SW_HTTP_RANGE_OK) {
        assert(h->first <= h->last && h->last <= INT64_MAX);
        assert(h->total == SW_HTTP_UNKNOWN || h->last < h->total);
    }
    if (sw_http_etag_is_strong(h->etag))
        assert(strlen(h->etag) >= 2 && !strchr(h->etag, ' '));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sw_http_head head;

    head = (struct sw_http_head){ 0 };
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t n = end ? (size_t)(end - data) + 1 : size;

        sw_http_head_line(&head, (const char *)data, n);
        check(&head);
        data += n;
        size -= n;
    }
    return 0;
}
