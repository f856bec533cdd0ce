/* SPDX-License-Identifier: Apache-2.0 */
/* The importer's side of a registry node pull (contract importer 1.11): a second container of the
 * pod serves the disk of a container image on localhost; files in a shared directory say when it is
 * ready and when we are done, and its environment becomes labels of the claim. */
#ifndef SW_IMPORTER_NODE_PULL_H
#define SW_IMPORTER_NODE_PULL_H

#include "importer/env.h"
#include "importer/sources.h"
#include "importer/termination.h"

/* How long a ready file may take. */
#define SW_READY_TRIES 60
#define SW_READY_PERIOD_NS INT64_C(1000000000)

/* Wait for env->ready_file; its content is the name of the disk and replaces "disk.img" at the end
 * of the endpoint. *ret_url is to be freed. -1 with "Timeout waiting for file ..." or
 * SW_ERR_CANCELLED. */
SW_MUST_CHECK
int sw_node_pull_wait(const struct sw_importer_env *env, struct sw_cancel *cancel, char **ret_url,
                      struct sw_err *err);

#define SW_LABELS_MAX 32

struct sw_labels {
    struct sw_termination_label at[SW_LABELS_MAX]; /* strings owned */
    size_t n;
};

/* GET /info of the server behind `url` and turn its KUBEVIRT_IO_ variables into labels. -1 when it
 * does not answer; the disk is good without labels, so that is a warning. */
SW_MUST_CHECK
int sw_node_pull_labels(const char *url, const struct sw_http_options *http, struct sw_labels *ret,
                        struct sw_err *err);

/* "INSTANCETYPE_KUBEVIRT_IO_DEFAULT_PREFERENCE=x" is the label
 * instancetype.kubevirt.io/default-preference: x. Append it; false when the variable makes none. */
bool sw_labels_add_variable(struct sw_labels *labels, const char *variable);

void sw_labels_done(struct sw_labels *labels);

/* Create env->done_file, which lets the server end. */
SW_MUST_CHECK
int sw_node_pull_done(const struct sw_importer_env *env, struct sw_err *err);

#endif
