/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a configuration. Inside kube/ only. */
#ifndef SW_KUBE_CONFIG_INT_H
#define SW_KUBE_CONFIG_INT_H

#include <sys/stat.h>

#include "kube/config.h"

/* What may stand in a file that changes. */
enum sw_kube_secret {
    SW_KUBE_TOKEN,
    SW_KUBE_CA,
    SW_KUBE_CERT,
    SW_KUBE_KEY,
    SW_KUBE_SECRET_COUNT_,
};

struct sw_kube_config {
    struct sw_kube_access access; /* points into what follows */
    char *server, *ns, *server_name, *proxy;
    char *secrets[SW_KUBE_SECRET_COUNT_];    /* NULL: none */
    char *files[SW_KUBE_SECRET_COUNT_];      /* where it stands; NULL: in the kubeconfig itself */
    struct stat seen[SW_KUBE_SECRET_COUNT_]; /* the file that was read */
};

/* Make `access` say what the rest holds. */
void sw_kube_config_publish(struct sw_kube_config *config);

#endif
