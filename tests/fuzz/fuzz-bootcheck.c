/* SPDX-License-Identifier: Apache-2.0 */
/* The boot check over a sparse disk of any content: it must end, never read outside the disk (the
 * fake aborts), keep its texts terminated, and say why when it finds no architecture. */
#include <stdlib.h>
#include <string.h>

#include "tests/fakes/sparse_disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_sound(const struct sw_bootinfo *info)
{
    for (unsigned i = 0; i < info->n_partitions && i < SW_BOOT_PARTITIONS_MAX; i++) {
        const struct sw_partition *p = &info->partitions[i];

        if (!memchr(p->type, 0, sizeof(p->type)) || !memchr(p->name, 0, sizeof(p->name)))
            return false;
    }
    return memchr(info->arch, 0, sizeof(info->arch)) && memchr(info->note, 0, sizeof(info->note)) &&
           memchr(info->archs, 0, sizeof(info->archs)) &&
           memchr(info->loader, 0, sizeof(info->loader)) && (info->arch[0] || info->note[0]) &&
           !info->arch[0] == !info->loader[0];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sparse_disk d;
    struct sw_bootinfo info;
    struct sw_err err = { 0 };

    if (!sparse_disk_parse(&d, data, size))
        return 0;
    if (sw_bootcheck(&d.reader, &info, &err) < 0 || !is_sound(&info))
        abort();
    sparse_disk_done(&d);
    return 0;
}
