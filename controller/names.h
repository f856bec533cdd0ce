/* SPDX-License-Identifier: Apache-2.0 */
/* Annotations, labels and fixed names of the contract (annotations.md), and ours. Each is spelled in
 * this file only. */
#ifndef SW_CONTROLLER_NAMES_H
#define SW_CONTROLLER_NAMES_H

#define SW_CDI "cdi.kubevirt.io/"
#define SW_S SW_CDI "storage."

/* What users ask for. */
#define SW_ANNO_IMMEDIATE SW_S "bind.immediate.requested" /* presence */
#define SW_ANNO_RETAIN SW_S "pod.retainAfterCompletion"
#define SW_ANNO_USE_POPULATOR SW_S "usePopulator"
#define SW_ANNO_PREPOPULATED SW_S "prePopulated"      /* presence */
#define SW_ANNO_POPULATED_FOR SW_S "populatedFor"     /* name of a DataVolume */
#define SW_ANNO_CHECK_STATIC SW_S "checkStaticVolume" /* presence */
#define SW_ANNO_ADOPTION SW_CDI "allowClaimAdoption"
#define SW_ANNO_PRIORITY_CLASS SW_S "pod.priorityclassname"
#define SW_ANNO_SERVICE_ACCOUNT SW_S "pod.serviceAccountName"
#define SW_ANNO_EXPECT_ARCH "slipway.io/expect-architecture"
#define SW_ANNO_CHECKSUM_URL "slipway.io/checksum-url"
#define SW_ANNO_SIGNATURE "slipway.io/signature"
#define SW_ANNO_KEYRING "slipway.io/keyring" /* a ConfigMap */

/* What a claim is to be filled with. */
#define SW_I SW_S "import."
#define SW_ANNO_SOURCE SW_I "source"
#define SW_ANNO_ENDPOINT SW_I "endpoint"
#define SW_ANNO_SECRET SW_I "secretName"
#define SW_ANNO_CERTS SW_I "certConfigMap"
#define SW_ANNO_CHECKSUM SW_I "checksum"
#define SW_ANNO_INSECURE SW_I "insecureSkipVerify"
#define SW_ANNO_HEADERS SW_I "extraHeaders."              /* + index */
#define SW_ANNO_SECRET_HEADERS SW_I "secretExtraHeaders." /* + index */
#define SW_ANNO_CONTENT_TYPE SW_S "contentType"
#define SW_ANNO_PREALLOCATION_WANTED SW_S "preallocation.requested"
#define SW_ANNO_CREATED_FOR SW_CDI "createdForDataVolume"
#define SW_ANNO_EXTERNAL SW_CDI "externalPopulation"
#define SW_ANNO_STATIC_LIST SW_S "persistentVolumeList"

/* How far a worker is. */
#define SW_ANNO_POD_NAME SW_I "importPodName"
#define SW_ANNO_FATAL SW_I "fatalError"
#define SW_ANNO_DIRECT_IO SW_I "requiresDirectIo"
#define SW_ANNO_POD_PHASE SW_S "pod.phase"
#define SW_ANNO_RESTARTS SW_S "pod.restarts"
#define SW_ANNO_SCHEDULABLE SW_S "pod.schedulable"
#define SW_ANNO_PREALLOCATED SW_S "preallocation"
#define SW_ANNO_RUNNING SW_S "condition.running"
#define SW_ANNO_RUNNING_REASON SW_ANNO_RUNNING ".reason"
#define SW_ANNO_RUNNING_MESSAGE SW_ANNO_RUNNING ".message"
#define SW_ANNO_BOUND SW_S "condition.bound"
#define SW_ANNO_BOUND_REASON SW_ANNO_BOUND ".reason"
#define SW_ANNO_BOUND_MESSAGE SW_ANNO_BOUND ".message"

/* Storage. */
#define SW_ANNO_VIRT_DEFAULT "storageclass.kubevirt.io/is-default-virt-class"
#define SW_ANNO_K8S_DEFAULT "storageclass.kubernetes.io/is-default-class"
#define SW_ANNO_MIN_SIZE SW_CDI "minimumSupportedPvcSize"
#define SW_ANNO_CLONE_STRATEGY SW_CDI "clone-strategy"
#define SW_ANNO_CRON_RWO SW_CDI "useReadWriteOnceForDataImportCron"
#define SW_ANNO_CRON_SNAPSHOT_CLASS SW_CDI "snapshotClassForDataImportCron"
#define SW_ANNO_SNAPSHOT_DEFAULT "snapshot.storage.kubernetes.io/is-default-class"
#define SW_ANNO_CONFIG_AUTHORITY SW_CDI "configAuthority"

#define SW_LABEL_APP "app"
#define SW_LABEL_APP_VALUE "containerized-data-importer"
#define SW_LABEL_CDI "cdi.kubevirt.io"
#define SW_LABEL_ALERT "alerts.k8s.io/KubePersistentVolumeFillingUp"
#define SW_LABEL_COMPONENT "app.kubernetes.io/component"
#define SW_LABEL_MANAGED_BY "app.kubernetes.io/managed-by"
#define SW_LABEL_PART_OF "app.kubernetes.io/part-of"
#define SW_LABEL_VERSION "app.kubernetes.io/version"

#define SW_CDI_NAME "cdi"
#define SW_CONFIG_NAME "config"
#define SW_METRICS_PORT 8443
#define SW_PROGRESS_METRIC "kubevirt_cdi_import_progress_total"
#define SW_MIB (1024 * 1024)

#endif
