/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests: any bytes are refused as the user's mistake, or give documents from which a DataVolume
 * is read or refused. What is accepted has names that stay inside their directory and a size that
 * the engine can take. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/datavolume.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct cli_datavolume *dv)
{
    if (strchr(dv->name, '/') || strchr(dv->ns, '/') || dv->name[0] == '.' || dv->ns[0] == '.')
        abort();
    if (!dv->size || dv->size % (1 << 20) || dv->size > INT64_MAX)
        abort();
    if ((dv->source == CLI_DV_HTTP) != (dv->url != NULL))
        abort();
    for (unsigned i = 0; i < dv->n_headers; i++) {
        if (strpbrk(dv->headers[i], "\r\n"))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sw_autoyaml struct sw_yaml all = { 0 };
    struct sw_err err = { 0 };

    if (sw_yaml_parse((const char *)data, size, &all, &err) < 0) {
        if (err.kind != SW_ERR_USAGE || all.n)
            abort();
        return 0;
    }
    for (size_t i = 0; i < all.n; i++) {
        cli_autodv struct cli_datavolume dv = { 0 };

        if (cli_datavolume_is(all.docs[i]) &&
            cli_datavolume_read(all.docs[i], &all, &dv, &err) == 0)
            check(&dv);
    }
    return 0;
}
