/* SPDX-License-Identifier: Apache-2.0 */
/* Which kind of object, where: names of resources and the paths of requests. Pure; any thread. */
#ifndef SW_KUBE_RESOURCE_H
#define SW_KUBE_RESOURCE_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/error.h"

/* Usually a constant of the program; the texts live as long as whatever was given a pointer. */
struct sw_kube_resource {
    const char *group;   /* "" for the core group                     */
    const char *version; /* "v1"                                      */
    const char *plural;  /* "persistentvolumeclaims"                  */
    const char *kind;    /* "PersistentVolumeClaim"                   */
    bool is_cluster;     /* has no namespace                          */
};

/* One object, or all of them. */
struct sw_kube_where {
    const struct sw_kube_resource *resource;
    const char *ns;          /* NULL: all namespaces, or a cluster-wide resource */
    const char *name;        /* NULL: the collection                            */
    const char *subresource; /* "status"; NULL: none                            */
};

/* Append "/api/v1/namespaces/NS/pods/NAME/status" or "/apis/GROUP/VERSION/...", each part
 * percent-encoded. -1 with SW_ERR_USAGE: a name without a namespace (or with one, for a cluster-wide
 * resource), an empty one, ".", "..", or one longer than 253 bytes; a subresource without a name. */
SW_MUST_CHECK
int sw_kube_path(struct sw_buf *out, const struct sw_kube_where *where, struct sw_err *err);

/* Append "?key=value" or "&key=value", the value percent-encoded. value NULL: nothing. */
void sw_kube_query(struct sw_buf *out, const char *key, const char *value);

#endif
