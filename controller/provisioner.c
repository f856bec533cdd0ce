/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/provisioner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/json_tree.h"

#define FSTYPE "csi.storage.k8s.io/fstype"

enum match {
    IS,       /* exactly that value; "" is met by a missing parameter, too */
    IS_CASE,  /* the same in any case          */
    BEGINS,   /* begins so                     */
    HAS_CASE, /* contains it, in any case      */
    IS_SET,   /* is there, whatever it is      */
    NOT_EMPTY,
    NFS_OPTIONS, /* a list of mount options with vers=3.0 and nolock */
    FLEX,        /* Google's volumes of the service level Flex       */
    ALWAYS,
};

/* The first rule of a provisioner that its parameters meet gives the suffix of the key; suffix NULL
 * means that the class is not known. Without any the key is the provisioner. */
static const struct {
    const char *provisioner, *parameter;
    enum match match;
    const char *value, *suffix;
} rules[] = {
    { "kubevirt.io.hostpath-provisioner", "overlayCSI", IS_SET, NULL, "/overlay" },
    { "kubernetes.io/portworx-volume", "sharedv4_mount_options", NFS_OPTIONS, NULL, "/nfs" },
    { "pxd.portworx.com", "backend", IS, "pure_block", "/pure_block" },
    { "pxd.portworx.com", "backend", IS, "pure_fa_file", "/pure_fa_file" },
    { "pxd.portworx.com", "backend", IS_SET, NULL, "" },
    { "pxd.portworx.com", "sharedv4_mount_options", NFS_OPTIONS, NULL, "/nfs" },
    { "csi.trident.netapp.io", "backendType", BEGINS, "ontap-nas", "/ontap-nas" },
    { "csi.trident.netapp.io", "backendType", BEGINS, "ontap-san", "/ontap-san" },
    { "csi.trident.netapp.io", "backendType", FLEX, NULL, "/gcnv-flex" },
    { "csi.trident.netapp.io", NULL, ALWAYS, NULL, NULL },
    { "infinibox-csi-driver", "storage_protocol", IS, "iscsi", "/iscsiorfibrechannel" },
    { "infinibox-csi-driver", "storage_protocol", IS, "fc", "/iscsiorfibrechannel" },
    { "infinibox-csi-driver", "storage_protocol", IS, "nvme", "/nvme" },
    { "infinibox-csi-driver", "storage_protocol", IS, "nfs", "/nfs" },
    { "infinibox-csi-driver", "storage_protocol", IS, "nfs_treeq", "/nfs" },
    { "infinibox-csi-driver", NULL, ALWAYS, NULL, NULL },
    { "csi.vsphere.vmware.com", FSTYPE, HAS_CASE, "nfs", "/nfs" },
    { "csi-unity.dellemc.com", "protocol", IS_CASE, "nfs", "/nfs" },
    { "csi-powerstore.dellemc.com", FSTYPE, IS_CASE, "nfs", "/nfs" },
    { "csi-vxflexos.dellemc.com", FSTYPE, IS_CASE, "nfs", "/nfs" },
    { "csi-powermax.dellemc.com", FSTYPE, IS_CASE, "nfs", "/nfs" },
    { "csi.huawei.com", "protocol", IS, "nfs", "/nfs" },
    { "driver.longhorn.io", "migratable", IS, "true", "/migratable" },
    { "driver.longhorn.io", "nfsOptions", NOT_EMPTY, NULL, "/nfs" },
    { "driver.longhorn.io", "fsType", NOT_EMPTY, NULL, "/fs" },
    { "ebs.csi.aws.com", "type", IS, "io1", "/io1" },
    { "ebs.csi.aws.com", "type", IS, "io2", "/io2" },
    { "ebs.csi.aws.com", "type", IS, "gp2", "/gp" },
    { "ebs.csi.aws.com", "type", IS, "gp3", "/gp" },
    { "pd.csi.storage.gke.io", "type", IS, "hyperdisk-balanced", "/hyperdisk" },
    { "pd.csi.storage.gke.io", "type", IS, "hyperdisk-balanced-high-availability", "/hyperdisk" },
    { "csi.san.synology.com", "protocol", IS, "iscsi", "/iscsi" },
    { "csi.san.synology.com", "protocol", IS, "", "/iscsi" },
    { "csi.san.synology.com", "protocol", IS, "smb", "/smb" },
    { "csi.san.synology.com", "protocol", IS, "nfs", "/nfs" },
    { "csi.san.synology.com", "protocol", IS, "nfs_treeq", "/nfs" },
    { "csi.san.synology.com", NULL, ALWAYS, NULL, NULL },
    { "vpc.file.csi.ibm.io", "profile", IS, "rfs", "/rfs" },
    { "vpc.file.csi.ibm.io", "profile", IS, "dp2", "/dp2" },
};

/* Whether a list of options has one of that text. */
static bool lists(const char *list, const char *separators, const char *want)
{
    size_t n = strlen(want);

    while (*list) {
        size_t len;

        list += strspn(list, separators);
        len = strcspn(list, separators);
        if (len == n && strncmp(list, want, n) == 0)
            return true;
        list += len;
    }
    return false;
}

static bool is_flex(const struct sw_json *parameters, const char *backend)
{
    const char *selector = sw_json_member_text(parameters, "selector");

    return strcmp(backend, "google-cloud-netapp-volumes") == 0 && selector &&
           lists(selector, ";, \t", "performance=flex");
}

static bool meets(const struct sw_json *parameters, size_t rule)
{
    const char *want = rules[rule].value;
    const char *have = rules[rule].parameter
                           ? sw_json_member_text(parameters, rules[rule].parameter)
                           : NULL;
    const char *text = have ? have : "";

    switch (rules[rule].match) {
    case IS:
        return strcmp(text, want) == 0;
    case IS_CASE:
        return strcasecmp(text, want) == 0;
    case BEGINS:
        return strncmp(text, want, strlen(want)) == 0;
    case HAS_CASE:
        return strcasestr(text, want) != NULL;
    case IS_SET:
        return have != NULL;
    case NOT_EMPTY:
        return *text != '\0';
    case NFS_OPTIONS:
        return lists(text, ",", "vers=3.0") && lists(text, ",", "nolock");
    case FLEX:
        return is_flex(parameters, text);
    case ALWAYS:
        return true;
    }
    return false;
}

void sw_provisioner_key(const struct sw_json *class, char *text)
{
    const struct sw_json *parameters = sw_json_find(class, "parameters");
    const char *name = sw_json_text(class, "provisioner");
    const char *state = sw_json_member_text(parameters, "vmState");
    const char *suffix = "";
    bool is_known = true;

    for (size_t i = 0; name && i < SW_COUNT(rules); i++)
        if (strcmp(rules[i].provisioner, name) == 0 && meets(parameters, i)) {
            is_known = rules[i].suffix != NULL;
            suffix = is_known ? rules[i].suffix : "";
            break;
        }
    bool is_rwo = name && *suffix && strcmp(name, "vpc.file.csi.ibm.io") == 0 && state &&
                  strcmp(state, "true") == 0;
    (void)snprintf(text, SW_PROVISIONER_KEY_MAX, "%s%s%s",
                   is_known && name ? name : SW_PROVISIONER_UNKNOWN, suffix, is_rwo ? "-rwo" : "");
}

static int compare(const void *key, const void *row)
{
    return strcmp(key, ((const struct sw_provisioner *)row)->key);
}

const struct sw_provisioner *sw_provisioner_find(const char *key)
{
    return bsearch(key, sw_provisioner_table, sw_provisioner_count, sizeof(sw_provisioner_table[0]),
                   compare);
}
