/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/pods.h"

#include <assert.h>
#include <string.h>

/* Each template is a string literal that the build makes of the JSON file. */
static const char importer[] =
#include "controller/importer_pod.inc"
    ;
static const char cdi[] =
#include "controller/cdi_object.inc"
    ;

static struct sw_json *read_text(struct sw_json_maker *m, const char *text)
{
    struct sw_json *template = NULL;
    struct sw_err err = { 0 };

    if (sw_json_parse(text, strlen(text), strlen(text) + 1, &template, &err) < 0) {
        assert(err.kind == SW_ERR_INTERNAL); /* no memory; a file that is not JSON fails its test */
        m->failed = true;
    }
    return template;
}

struct sw_json *sw_pod_template_importer(struct sw_json_maker *m)
{
    return read_text(m, importer);
}

struct sw_json *sw_object_template_cdi(struct sw_json_maker *m)
{
    return read_text(m, cdi);
}
