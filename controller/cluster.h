/* SPDX-License-Identifier: Apache-2.0 */
/* What plans need to know of the cluster beside their own objects: feature gates and defaults from
 * CDIConfig, storage classes and what they promise. Texts and objects are borrowed from the view. */
#ifndef SW_CONTROLLER_CLUSTER_H
#define SW_CONTROLLER_CLUSTER_H

#include "controller/draft.h"

/* The CDIConfig "config"; NULL when there is none. */
const struct sw_json *sw_cluster_config(struct sw_draft *p);

bool sw_cluster_has_gate(struct sw_draft *p, const char *gate);
#define SW_GATE_WFFC "HonorWaitForFirstConsumer"
#define SW_GATE_ADOPTION "DataVolumeClaimAdoption"

/* The StorageClass that `name` means: that one if it exists; for NULL the virtualization default (only
 * if is_for_disk) or Kubernetes' default, the newest of several, by name if equally old. NULL when
 * there is none. */
const struct sw_json *sw_cluster_class(struct sw_draft *p, const char *name, bool is_for_disk);

/* Whether a class binds its claims only when a pod uses them. NULL: false. */
bool sw_class_waits_for_consumer(const struct sw_json *class);

/* The overhead of Filesystem claims of the class of that name (NULL: Kubernetes' default), as its
 * decimal text ("0.06"), and its value. */
const char *sw_cluster_overhead(struct sw_draft *p, const char *class_name, double *ret);

/* app.kubernetes.io/part-of and /version as the CDI object has them, put into an object of labels with
 * managed-by (cdi-controller) and component (storage). */
void sw_cluster_put_labels(struct sw_draft *p, struct sw_json *labels);

/* The first CDI object that is not being deleted; NULL when there is none. */
const struct sw_json *sw_cluster_cdi(struct sw_draft *p);

#endif
