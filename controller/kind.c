/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/kind.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define KEEP(...) ((const char *const[]){ __VA_ARGS__, NULL })

static const struct sw_kind_info kinds[SW_KIND_COUNT_] = {
    [SW_KIND_DATA_VOLUME] = { "DataVolume", "cdi.kubevirt.io", "v1beta1", "datavolumes", true, true,
                              KEEP("metadata.annotations", "metadata.deletionTimestamp",
                                   "metadata.labels", "spec", "status") },
    [SW_KIND_CLAIM] = { "PersistentVolumeClaim", "", "v1", "persistentvolumeclaims", true, true,
                        KEEP("metadata.annotations", "metadata.deletionTimestamp",
                             "metadata.labels", "metadata.ownerReferences", "spec.accessModes",
                             "spec.resources.requests", "spec.storageClassName", "spec.volumeMode",
                             "spec.volumeName", "status.phase") },
    [SW_KIND_POD] = { "Pod", "", "v1", "pods", true, true,
                      KEEP("metadata.annotations[slipway.io*]", "metadata.deletionTimestamp",
                           "metadata.ownerReferences",
                           "spec.volumes.persistentVolumeClaim.claimName",
                           "status.conditions.reason", "status.conditions.status",
                           "status.conditions.type", "status.containerStatuses.image",
                           "status.containerStatuses.lastState.terminated.exitCode",
                           "status.containerStatuses.lastState.terminated.message",
                           "status.containerStatuses.lastState.terminated.reason",
                           "status.containerStatuses.name", "status.containerStatuses.restartCount",
                           "status.containerStatuses.state", "status.message", "status.phase",
                           "status.podIP", "status.reason") },
    [SW_KIND_VOLUME] = { "PersistentVolume", "", "v1", "persistentvolumes", false, true,
                         KEEP("metadata.deletionTimestamp", "spec.accessModes",
                              "spec.capacity.storage", "spec.claimRef", "spec.storageClassName",
                              "spec.volumeMode", "status.phase") },
    [SW_KIND_EVENT] = { "Event", "", "v1", "events", true, false,
                        KEEP("eventTime", "involvedObject.uid", "lastTimestamp", "message",
                             "metadata.creationTimestamp", "reason", "series.lastObservedTime") },
    [SW_KIND_STORAGE_CLASS] = { "StorageClass", "storage.k8s.io", "v1", "storageclasses", false,
                                false,
                                KEEP("metadata.annotations", "metadata.creationTimestamp",
                                     "metadata.deletionTimestamp", "parameters", "provisioner",
                                     "volumeBindingMode") },
    [SW_KIND_SNAPSHOT_CLASS] = { "VolumeSnapshotClass", "snapshot.storage.k8s.io", "v1",
                                 "volumesnapshotclasses", false, false,
                                 KEEP("driver", "metadata.annotations", "parameters") },
    [SW_KIND_STORAGE_PROFILE] = { "StorageProfile", "cdi.kubevirt.io", "v1beta1", "storageprofiles",
                                  false, true,
                                  KEEP("metadata.annotations", "metadata.deletionTimestamp",
                                       "metadata.labels", "metadata.ownerReferences", "spec",
                                       "status") },
    [SW_KIND_CDI_CONFIG] = { "CDIConfig", "cdi.kubevirt.io", "v1beta1", "cdiconfigs", false, false,
                             KEEP("metadata.deletionTimestamp", "metadata.labels",
                                  "metadata.ownerReferences", "spec", "status") },
    [SW_KIND_CDI] = { "CDI", "cdi.kubevirt.io", "v1beta1", "cdis", false, false,
                      KEEP("metadata.annotations", "metadata.deletionTimestamp", "metadata.labels",
                           "spec", "status") },
    [SW_KIND_CONFIG_MAP] = { "ConfigMap", "", "v1", "configmaps", true, false, KEEP("data") },
};

const struct sw_kind_info *sw_kind_info(enum sw_kind kind)
{
    assert(kind < SW_KIND_COUNT_);
    return &kinds[kind];
}

enum sw_kind sw_kind_find(const char *name)
{
    enum sw_kind k = 0;

    while (k < SW_KIND_COUNT_ && strcmp(kinds[k].name, name) != 0)
        k++;
    return k;
}

void sw_kind_api_version(enum sw_kind kind, char *text)
{
    const struct sw_kind_info *info = sw_kind_info(kind);

    (void)snprintf(text, SW_API_VERSION_MAX, "%s%s%s", info->group, *info->group ? "/" : "",
                   info->version);
}
