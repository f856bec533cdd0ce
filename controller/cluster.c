/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cluster.h"

#include <string.h>

#include "controller/names.h"
#include "controller/object.h"
#include "controller/quantity.h"

const struct sw_json *sw_cluster_config(struct sw_draft *p)
{
    return sw_draft_get(p, SW_KIND_CDI_CONFIG, NULL, SW_CONFIG_NAME);
}

bool sw_cluster_has_gate(struct sw_draft *p, const char *gate)
{
    const struct sw_json *gates = sw_json_find(sw_cluster_config(p), "spec.featureGates");

    for (size_t i = 0; i < sw_json_length(gates); i++)
        if (sw_text_equal(sw_json_text(sw_json_at(gates, i), ""), gate))
            return true;
    return false;
}

/* Newer wins, then the smaller name. RFC 3339 in UTC compares as text. */
static bool is_preferred(const struct sw_json *a, const struct sw_json *b)
{
    const char *made_a = sw_json_text(a, "metadata.creationTimestamp");
    const char *made_b = sw_json_text(b, "metadata.creationTimestamp");
    int newer = strcmp(made_a ? made_a : "", made_b ? made_b : "");

    if (newer != 0)
        return newer > 0;
    return strcmp(sw_object_name(a), sw_object_name(b)) < 0;
}

static const struct sw_json *find_default(const struct sw_json *classes, const char *annotation)
{
    const struct sw_json *best = NULL;

    for (size_t i = 0; i < sw_json_length(classes); i++) {
        const struct sw_json *c = sw_json_at(classes, i);

        if (sw_object_name(c) && sw_object_annotation_is(c, annotation, "true") &&
            (!best || is_preferred(c, best)))
            best = c;
    }
    return best;
}

const struct sw_json *sw_cluster_class(struct sw_draft *p, const char *name, bool is_for_disk)
{
    const struct sw_json *class = NULL;

    if (name)
        return *name ? sw_draft_get(p, SW_KIND_STORAGE_CLASS, NULL, name) : NULL;

    const struct sw_json *all = sw_draft_list(p, SW_KIND_STORAGE_CLASS, SW_INDEX_ALL, "");
    if (is_for_disk)
        class = find_default(all, SW_ANNO_VIRT_DEFAULT);
    return class ? class : find_default(all, SW_ANNO_K8S_DEFAULT);
}

bool sw_class_waits_for_consumer(const struct sw_json *class)
{
    return sw_text_equal(sw_json_text(class, "volumeBindingMode"), "WaitForFirstConsumer");
}

const char *sw_cluster_overhead(struct sw_draft *p, const char *class_name, double *ret)
{
    const struct sw_json *overhead = sw_json_find(sw_cluster_config(p),
                                                  "status.filesystemOverhead");
    const struct sw_json *class = sw_cluster_class(p, class_name, false);
    const char *text;

    *ret = 0;
    if (!overhead || (class_name && !*class_name))
        return "0";
    if (class_name && !class)
        class = sw_cluster_class(p, NULL, false);

    const char *name = sw_object_name(class);
    text = name ? sw_json_member_text(sw_json_find(overhead, "storageClass"), name) : NULL;
    if (!text)
        text = sw_json_text(overhead, "global");
    return sw_overhead_parse(text, ret) ? text : "0";
}

const struct sw_json *sw_cluster_cdi(struct sw_draft *p)
{
    const struct sw_json *all = sw_draft_list(p, SW_KIND_CDI, SW_INDEX_ALL, "");
    const struct sw_json *first = NULL;

    for (size_t i = 0; i < sw_json_length(all); i++) {
        const struct sw_json *cdi = sw_json_at(all, i);

        if (!sw_object_is_deleting(cdi) && sw_object_name(cdi) &&
            (!first || strcmp(sw_object_name(cdi), sw_object_name(first)) < 0))
            first = cdi;
    }
    return first;
}

void sw_cluster_put_labels(struct sw_draft *p, struct sw_json *labels)
{
    static const char *const installer[] = { SW_LABEL_PART_OF, SW_LABEL_VERSION };
    const struct sw_json *cdi = sw_cluster_cdi(p);

    sw_json_set_str(&p->m, labels, SW_LABEL_MANAGED_BY, "cdi-controller");
    sw_json_set_str(&p->m, labels, SW_LABEL_COMPONENT, "storage");
    for (size_t i = 0; i < SW_COUNT(installer); i++) {
        const char *value = sw_object_label(cdi, installer[i]);

        if (value)
            sw_json_set_str(&p->m, labels, installer[i], value);
    }
}
