/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/pods.h"

#include <assert.h>
#include <string.h>

/* Each template is a string literal that the build makes of the JSON file. */
static const char importer[] =
#include "controller/importer_pod.inc"
    ;

struct sw_json *sw_pod_template_importer(struct sw_json_maker *m)
{
    struct sw_json *template = NULL;
    struct sw_err err = { 0 };

    if (sw_json_parse(importer, strlen(importer), sizeof(importer), &template, &err) < 0) {
        assert(err.kind == SW_ERR_INTERNAL); /* no memory; a file that is not JSON fails its test */
        m->failed = true;
    }
    return template;
}
