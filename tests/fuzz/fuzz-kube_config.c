/* SPDX-License-Identifier: Apache-2.0 */
/* A kubeconfig. What is taken has a server, and a token that is one word. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "kube/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sw_auto_kube_config struct sw_kube_config *c = NULL;
    struct sw_err err = { 0 };

    if (sw_kube_config_parse((const char *)data, size, "/nowhere/", NULL, &c, &err) < 0) {
        assert(err.kind == SW_ERR_USAGE || err.kind == SW_ERR_UNSUPPORTED);
        return 0;
    }
    const struct sw_kube_access *a = sw_kube_config_access(c);
    assert(strncmp(a->server, "http", 4) == 0 && a->ns && *a->ns);
    assert(!a->token || !strpbrk(a->token, " \t\r\n"));
    return 0;
}
