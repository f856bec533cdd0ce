/* SPDX-License-Identifier: Apache-2.0 */
#include "transfer/source.h"

#include <stdlib.h>

void sw_source_done(struct sw_source *s)
{
    free(s->url);
    free(s->name);
    free(s->validator);
    s->url = s->name = s->validator = NULL;
}
