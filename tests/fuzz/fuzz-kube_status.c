/* SPDX-License-Identifier: Apache-2.0 */
/* The body of an answer that says no. Whatever it is, it becomes an error with a message. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "kube/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sw_kube_status status;
    struct sw_err err = { 0 };

    sw_kube_status_parse((const char *)data, size, 500, &status);
    assert(status.code >= 100 && status.code <= 599);
    assert(memchr(status.message, '\0', sizeof(status.message)));
    assert(memchr(status.reason, '\0', sizeof(status.reason)));
    assert(sw_kube_status_err(&status, &err) == -1 && err.kind != SW_ERR_NONE && *err.msg);
    return 0;
}
