/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of objects that the control plane reads and writes, as one table: how each is addressed at
 * the API server, and which of its fields a plan ever looks at. Whoever fills a cache keeps exactly
 * those; tests/controller runs every pair a second time with objects cut down to them, so a plan that
 * reads a field that is not listed fails there.
 *
 * Constant data: callable from any thread. */
#ifndef SW_CONTROLLER_KIND_H
#define SW_CONTROLLER_KIND_H

#include <stdbool.h>

enum sw_kind {
    SW_KIND_DATA_VOLUME,
    SW_KIND_CLAIM, /* PersistentVolumeClaim */
    SW_KIND_POD,
    SW_KIND_VOLUME, /* PersistentVolume */
    SW_KIND_EVENT, /* core/v1; only those about claims (involvedObject.kind=PersistentVolumeClaim) */
    SW_KIND_STORAGE_CLASS,
    SW_KIND_SNAPSHOT_CLASS, /* its CRD may not be there: then there are none */
    SW_KIND_STORAGE_PROFILE,
    SW_KIND_CDI_CONFIG, /* one object, "config" */
    SW_KIND_CDI,        /* one object */
    SW_KIND_CONFIG_MAP, /* read in the controller's own namespace only */
    SW_KIND_COUNT_,
};

struct sw_kind_info {
    const char *name;  /* "PersistentVolumeClaim": `kind` in objects and actions                 */
    const char *group; /* "" for the core group                                                  */
    const char
        *version;       /* "v1"                                                                   */
    const char *plural; /* "persistentvolumeclaims", as in URLs                                   */
    bool is_namespaced;
    bool has_status; /* status is written through /status, and through it only                    */

    /* Fields that plans read, as sw_kube_projection_compile() takes them, NULL at the end. */
    const char *const *keep;
};

/* Never NULL for a kind below SW_KIND_COUNT_. */
const struct sw_kind_info *sw_kind_info(enum sw_kind kind);

/* The kind of that name, or SW_KIND_COUNT_. */
enum sw_kind sw_kind_find(const char *name);

/* "v1", "cdi.kubevirt.io/v1beta1": the API version with which objects of the kind are written, put
 * into text, which has room for SW_API_VERSION_MAX bytes. */
#define SW_API_VERSION_MAX 64
void sw_kind_api_version(enum sw_kind kind, char *text);

#endif
