/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/manifest.h"

#include <string.h>

#include "common/fileio.h"

int cli_manifest_read(const char *path, struct sw_yaml *ret, struct sw_err *err)
{
    sw_autofree char *text = NULL;
    size_t n = 0;

    if (strcmp(path, "-") == 0)
        path = "/dev/stdin";
    if (sw_file_slurp(path, SW_YAML_MAX_BYTES, &text, &n, err) < 0)
        return -1;
    if (sw_yaml_parse(text, n, ret, err) < 0)
        return sw_err_wrap(err, "'%s'", path);
    return 0;
}
