/* SPDX-License-Identifier: Apache-2.0 */
/* Where the API server is, whom we believe and who we are: from a pod's service account or from a
 * kubeconfig file.
 *
 * Files that rotate (the token, the CA bundle, a client certificate) are read again when they
 * changed; what stands in the kubeconfig itself is not.
 *
 * One thread at a time. Secrets are wiped when they are freed and never enter a message. */
#ifndef SW_KUBE_CONFIG_H
#define SW_KUBE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct sw_kube_config; /* opaque */

/* The service account of this pod: KUBERNETES_SERVICE_HOST and _PORT, and token, ca.crt and
 * namespace in `dir` (NULL: /var/run/secrets/kubernetes.io/serviceaccount). -1: SW_ERR_USAGE (this is
 * no pod: a variable or file is not there; the message says which), SW_ERR_BAD_DATA.
 * Source: kubernetes.io/docs/tasks/run-application/access-api-from-pod. */
SW_MUST_CHECK
int sw_kube_config_in_cluster(const char *dir, struct sw_kube_config **ret, struct sw_err *err);

/* One context of a kubeconfig file: `path`, or NULL for $KUBECONFIG (one file, no list) and then
 * ~/.kube/config; `context`, or NULL for its current-context. Relative names of files count from the
 * directory of the file. -1: SW_ERR_USAGE (not a kubeconfig, no such context, cluster or user),
 * SW_ERR_UNSUPPORTED (exec plugin, auth-provider, password: named), what reading the files gives. */
SW_MUST_CHECK
int sw_kube_config_file(const char *path, const char *context, struct sw_kube_config **ret,
                        struct sw_err *err);

/* The same from text (n bytes), for tests and fuzzing; no file is opened before
 * sw_kube_config_refresh(). dir is what relative names count from. */
SW_MUST_CHECK
int sw_kube_config_parse(const char *text, size_t n, const char *dir, const char *context,
                         struct sw_kube_config **ret, struct sw_err *err);

/* What a program does without options: a pod's account when KUBERNETES_SERVICE_HOST is set and
 * $KUBECONFIG is not, else the file. */
SW_MUST_CHECK
int sw_kube_config_default(struct sw_kube_config **ret, struct sw_err *err);

void sw_kube_config_free(struct sw_kube_config *config); /* accepts NULL */

static inline void sw_cleanup_kube_config(struct sw_kube_config **config)
{
    sw_kube_config_free(*config);
}
#define sw_auto_kube_config __attribute__((cleanup(sw_cleanup_kube_config)))

/* What is in force now. Borrowed until the next sw_kube_config_refresh(). */
struct sw_kube_access {
    const char *server;      /* "https://host:port/prefix", without a slash at the end     */
    const char *ns;          /* of the context or the pod; "default" when nothing is said  */
    const char *token;       /* NULL: none                                                 */
    const char *ca;          /* PEM; NULL: the system's roots                              */
    const char *cert, *key;  /* PEM; NULL: none                                            */
    const char *server_name; /* tls-server-name; NULL: the host of the URL                 */
    const char *proxy;       /* proxy-url; NULL: none                                      */
    bool is_insecure;        /* insecure-skip-tls-verify                                   */
};

const struct sw_kube_access *sw_kube_config_access(const struct sw_kube_config *config);

/* Read files again that changed since (by inode, size and time; `force`: all). 1 when something in
 * the access is different now, 0 when not; -1 when a file cannot be read: the access then stays as
 * it was. */
SW_MUST_CHECK
int sw_kube_config_refresh(struct sw_kube_config *config, bool force, struct sw_err *err);

#endif
