/* SPDX-License-Identifier: Apache-2.0 */
/* The importer pod of a claim (contract importer 1.2, 1.3, 1.14; datavolume-controller 6.1 and 8). How it
 * looks is in manifests/pods/importer.json; here are the values for its holes. */
#include <string.h>

#include "controller/claim.h"
#include "controller/cluster.h"
#include "controller/names.h"
#include "controller/object.h"
#include "controller/pods.h"
#include "controller/render.h"
#include "controller/template.h"

/* Kubernetes: the longest name of an object. */
#define NAME_BYTES 253
#define HEADERS_MAX 256 /* the importer takes no more */

struct pod_values {
    struct sw_draft *p;
    const struct sw_json *claim;
    const struct sw_json *config;
    struct sw_json *to; /* the values */
};

/* FNV-1a, 32 bits (draft-eastlake-fnv). */
static uint32_t hash(const char *text)
{
    uint32_t h = 2166136261U;

    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 16777619U;
    return h;
}

void sw_claim_pod_name(const char *claim, char *text)
{
    int n = snprintf(text, SW_POD_NAME_MAX, "importer-%s", claim);

    if (n > NAME_BYTES) {
        sw_autobuf struct sw_buf whole = SW_BUF_INIT(strlen(claim) + 16);

        sw_buf_printf(&whole, "importer-%s", claim);
        (void)snprintf(text, SW_POD_NAME_MAX, "importer-%08x", hash(sw_buf_str(&whole)));
    }
}

static void put(struct pod_values *v, const char *name, const char *text)
{
    sw_json_set_str(&v->p->m, v->to, name, text ? text : "");
}

/* The kubelet expands $(NAME) in values, and makes $ of $$: a user's text is to arrive as it is. */
static void put_literal(struct sw_json_maker *m, struct sw_json *to, const char *name,
                        const char *text)
{
    size_t n = strlen(text);
    sw_autobuf struct sw_buf out = SW_BUF_INIT(2 * n + 1);

    for (; *text; text++)
        sw_buf_puts(&out, *text == '$' ? "$$" : (const char[]){ *text, '\0' });
    if (out.failed)
        m->failed = true;
    sw_json_set_str(m, to, name, sw_buf_str(&out));
}

static void put_annotation(struct pod_values *v, const char *name, const char *key)
{
    const char *text = sw_object_annotation(v->claim, key);

    put_literal(&v->p->m, v->to, name, text ? text : "");
}

/* Only when it has a value: names of objects that are mounted or used. */
static void put_optional(struct pod_values *v, const char *name, const char *key)
{
    const char *text = sw_object_annotation(v->claim, key);

    if (text && *text)
        sw_json_set_str(&v->p->m, v->to, name, text);
}

/* A part of another object, if it is there and of that type. */
static void put_part(struct pod_values *v, const char *name, const struct sw_json *part,
                     enum sw_json_type type)
{
    if (part && sw_json_type(part) == type)
        sw_json_set_copy(&v->p->m, v->to, name, part);
}

/* --- What to import ------------------------------------------------------------------------------- */

static void put_owner_uid(struct pod_values *v)
{
    const struct sw_json *refs = sw_json_find(v->claim, "metadata.ownerReferences");
    const char *uid = sw_json_length(refs) == 1 ? sw_json_text(sw_json_at(refs, 0), "uid") : NULL;

    put(v, "ownerUID", uid ? uid : sw_object_uid(v->claim));
}

static void put_size(struct pod_values *v)
{
    const struct sw_json *size = sw_json_find(v->claim, "spec.resources.requests.storage");
    sw_autobuf struct sw_buf text = SW_BUF_INIT(256);

    if (sw_json_type(size) == SW_JSON_NUMBER)
        sw_json_print(&text, size);
    put(v, "imageSize", text.n ? sw_buf_str(&text) : sw_json_text(size, ""));
}

static void put_request(struct pod_values *v)
{
    const char *source = sw_object_annotation(v->claim, SW_ANNO_SOURCE);
    const char *type = sw_object_annotation(v->claim, SW_ANNO_CONTENT_TYPE);
    bool is_blank = sw_text_equal(source, "none");
    bool insecure = sw_object_annotation_is(v->claim, SW_ANNO_INSECURE, "true");
    bool direct = sw_object_annotation_is(v->claim, SW_ANNO_DIRECT_IO, "true");

    put(v, "source", is_blank ? "none" : "http");
    put_annotation(v, "endpoint", SW_ANNO_ENDPOINT);
    put(v, "contentType", sw_text_equal(type, "archive") ? "archive" : "kubevirt");
    put(v, "insecure", insecure && !is_blank ? "true" : "false");
    put(v, "preallocation",
        sw_object_annotation_is(v->claim, SW_ANNO_PREALLOCATION_WANTED, "true") ? "true" : "false");
    put(v, "cacheMode", direct ? SW_CACHE_MODE_DIRECT : "");
    put_annotation(v, "checksum", SW_ANNO_CHECKSUM);
    if (sw_object_has_annotation(v->claim, SW_ANNO_EXPECT_ARCH))
        put_annotation(v, "expectArch", SW_ANNO_EXPECT_ARCH);
    if (sw_object_has_annotation(v->claim, SW_ANNO_CHECKSUM_URL))
        put_annotation(v, "checksumUrl", SW_ANNO_CHECKSUM_URL);
    if (sw_object_has_annotation(v->claim, SW_ANNO_SIGNATURE))
        put_annotation(v, "signature", SW_ANNO_SIGNATURE);
    put_optional(v, "keyring", SW_ANNO_KEYRING);
    put_optional(v, "secret", SW_ANNO_SECRET);
    put_optional(v, "certs", SW_ANNO_CERTS);
    put_owner_uid(v);
    put_size(v);
}

/* --- Headers -------------------------------------------------------------------------------------- */

static const char *indexed(const struct pod_values *v, const char *prefix, unsigned i)
{
    sw_autobuf struct sw_buf key = SW_BUF_INIT(128);

    sw_buf_printf(&key, "%s%u", prefix, i);
    return sw_object_annotation(v->claim, sw_buf_str(&key));
}

static void put_header_env(struct pod_values *v)
{
    struct sw_json_maker *m = &v->p->m;
    struct sw_json *list = sw_json_enter_array(m, v->to, "headerEnv");
    const char *text;

    for (unsigned i = 0; i < HEADERS_MAX && (text = indexed(v, SW_ANNO_HEADERS, i)); i++) {
        struct sw_json *env = sw_json_enter_object(m, list, NULL);
        sw_autobuf struct sw_buf name = SW_BUF_INIT(64);

        sw_buf_printf(&name, "IMPORTER_EXTRA_HEADER_%u", i);
        sw_json_set_str(m, env, "name", sw_buf_str(&name));
        put_literal(m, env, "value", text);
    }
}

static unsigned put_secret_headers(struct pod_values *v)
{
    struct sw_json_maker *m = &v->p->m;
    struct sw_json *mounts = sw_json_enter_array(m, v->to, "headerMounts");
    struct sw_json *volumes = sw_json_enter_array(m, v->to, "headerVolumes");
    const char *secret;
    unsigned i = 0;

    for (; i < HEADERS_MAX && (secret = indexed(v, SW_ANNO_SECRET_HEADERS, i)); i++) {
        struct sw_json *mount = sw_json_enter_object(m, mounts, NULL);
        struct sw_json *volume = sw_json_enter_object(m, volumes, NULL);
        sw_autobuf struct sw_buf name = SW_BUF_INIT(64);
        sw_autobuf struct sw_buf path = SW_BUF_INIT(64);

        sw_buf_printf(&name, "cdi-secret-extra-headers-vol-%u", i);
        sw_buf_printf(&path, "/extraheaders/%u", i);
        sw_json_set_str(m, mount, "name", sw_buf_str(&name));
        sw_json_set_str(m, mount, "mountPath", sw_buf_str(&path));
        sw_json_set_bool(m, mount, "readOnly", true);
        sw_json_set_str(m, volume, "name", sw_buf_str(&name));
        sw_json_set_str(m, sw_json_enter_object(m, volume, "secret"), "secretName", secret);
    }
    return i;
}

/* --- Proxy ---------------------------------------------------------------------------------------- */

/* The proxy's CA lies in our namespace; a pod can only mount what is in its own. */
static void bring_proxy_ca(struct pod_values *v)
{
    struct sw_json_maker *m = &v->p->m;
    const char *name = sw_json_text(v->config, "status.importProxy.trustedCAProxy");
    const struct sw_json *ca = name && *name ? sw_draft_get(v->p, SW_KIND_CONFIG_MAP,
                                                            v->p->view->env->namespace, name)
                                             : NULL;
    const char *pem = sw_json_member_text(sw_json_find(ca, "data"), "ca.crt");
    sw_autobuf struct sw_buf copy = SW_BUF_INIT(NAME_BYTES);

    sw_buf_printf(&copy, "import-proxy-cm-%s", sw_object_name(v->claim));
    if (!pem || copy.failed)
        return;

    struct sw_json *map = sw_object_new(m, SW_KIND_CONFIG_MAP, sw_object_namespace(v->claim),
                                        sw_buf_str(&copy));
    struct sw_json *metadata = sw_json_enter_object(m, map, "metadata");
    sw_object_add_controller(m, sw_json_enter_array(m, metadata, "ownerReferences"), SW_KIND_CLAIM,
                             v->claim);
    sw_json_set_str(m, sw_json_enter_object(m, metadata, "labels"), SW_LABEL_APP,
                    SW_LABEL_APP_VALUE);
    sw_json_set_str(m, sw_json_enter_object(m, map, "data"), "ca.crt", pem);
    sw_act_apply(v->p, SW_KIND_CONFIG_MAP, map);
    put(v, "proxyCerts", sw_buf_str(&copy));
}

static void put_proxy(struct pod_values *v)
{
    put(v, "httpProxy", sw_json_text(v->config, "status.importProxy.HTTPProxy"));
    put(v, "httpsProxy", sw_json_text(v->config, "status.importProxy.HTTPSProxy"));
    put(v, "noProxy", sw_json_text(v->config, "status.importProxy.noProxy"));
    bring_proxy_ca(v);
}

/* --- The pod around it ---------------------------------------------------------------------------- */

/* Annotations that go from claims to pods, with what they are by default. */
static void put_annotations(struct pod_values *v)
{
    static const struct {
        const char *key, *otherwise;
    } copied[] = {
        { "k8s.v1.cni.cncf.io/networks", NULL }, { "v1.multus-cni.io/default-network", NULL },
        { "sidecar.istio.io/inject", "false" },  { "linkerd.io/inject", "disabled" },
        { SW_ANNO_PRIORITY_CLASS, NULL },        { SW_ANNO_SERVICE_ACCOUNT, NULL },
    };
    struct sw_json *to = sw_json_enter_object(&v->p->m, v->to, "annotations");

    sw_json_set_str(&v->p->m, to, SW_S "createdByController", "yes");
    for (size_t i = 0; i < SW_COUNT(copied); i++) {
        const char *text = sw_object_annotation(v->claim, copied[i].key);

        if (text || copied[i].otherwise)
            sw_json_set_str(&v->p->m, to, copied[i].key, text ? text : copied[i].otherwise);
    }
    if (sw_object_annotation_is(v->claim, SW_ANNO_DIRECT_IO, "true"))
        sw_json_set_str(&v->p->m, to, SW_ANNO_CACHE_MODE, SW_CACHE_MODE_DIRECT);
}

static void put_labels(struct pod_values *v)
{
    struct sw_json *labels = sw_json_enter_object(&v->p->m, v->to, "labels");

    sw_json_set_str(&v->p->m, labels, SW_LABEL_APP, SW_LABEL_APP_VALUE);
    sw_json_set_str(&v->p->m, labels, SW_LABEL_CDI, "importer");
    sw_json_set_str(&v->p->m, labels, "prometheus.cdi.kubevirt.io", "true");
    sw_cluster_put_labels(v->p, labels);
    if (sw_json_find(v->claim, "metadata.labels"))
        sw_json_merge(&v->p->m, &labels, sw_json_find(v->claim, "metadata.labels"));
}

static void put_placement(struct pod_values *v)
{
    const struct sw_json *workload = sw_json_find(sw_cluster_cdi(v->p), "spec.workload");
    const struct sw_json *pull = sw_json_find(v->config, "status.imagePullSecrets");

    put_part(v, "nodeSelector", sw_json_find(workload, "nodeSelector"), SW_JSON_OBJECT);
    put_part(v, "tolerations", sw_json_find(workload, "tolerations"), SW_JSON_ARRAY);
    put_part(v, "affinity", sw_json_find(workload, "affinity"), SW_JSON_OBJECT);
    put_part(v, "pullSecrets", sw_json_length(pull) ? pull : NULL, SW_JSON_ARRAY);
    put_part(v, "resources", sw_json_find(v->config, "status.defaultPodResourceRequirements"),
             SW_JSON_OBJECT);
    put_optional(v, "serviceAccount", SW_ANNO_SERVICE_ACCOUNT);
    put_optional(v, "priorityClass", SW_ANNO_PRIORITY_CLASS);
}

static void put_image(struct pod_values *v)
{
    const struct sw_plan_env *env = v->p->view->env;
    sw_autobuf struct sw_buf verbosity = SW_BUF_INIT(32);
    uint64_t level = env->verbosity;
    struct sw_err ignored;

    if (sw_json_get_u64(v->config, "spec.logVerbosity", &level, &ignored) < 0)
        level = env->verbosity;
    sw_buf_printf(&verbosity, "-v=%llu", (unsigned long long)level);
    put(v, "verbosity", sw_buf_str(&verbosity));
    put(v, "image", env->image);
    put(v, "pullPolicy", env->pull_policy);
}

/* The volume, and whether the pod mounts anything: then files belong to group 107. */
static void put_volume(struct pod_values *v, unsigned n_secret_headers)
{
    const struct sw_json *spec = sw_json_find(v->claim, "spec");
    bool is_block = sw_spec_is_block(spec);
    double ignored;

    put(v, "claim", sw_object_name(v->claim));
    put(v, is_block ? "isBlock" : "isFilesystem", "true");
    put(v, "overhead",
        is_block ? "0"
                 : sw_cluster_overhead(v->p, sw_json_text(spec, "storageClassName"), &ignored));
    if (!is_block || n_secret_headers || sw_json_member(v->to, "certs") ||
        sw_json_member(v->to, "keyring") || sw_json_member(v->to, "proxyCerts"))
        sw_json_set_i64(&v->p->m, v->to, "fsGroup", 107);
}

struct sw_json *sw_claim_make_pod(struct sw_draft *p, const struct sw_json *claim)
{
    sw_auto_json struct sw_json *values = sw_json_new_object(&p->m);
    sw_auto_json struct sw_json *template = sw_pod_template_importer(&p->m);
    struct pod_values v = { p, claim, sw_cluster_config(p), values };
    char name[SW_POD_NAME_MAX];

    sw_claim_pod_name(sw_object_name(claim), name);
    put(&v, "name", name);
    put(&v, "namespace", sw_object_namespace(claim));
    put_image(&v);
    put_annotations(&v);
    put_labels(&v);
    sw_object_add_controller(&p->m, sw_json_enter_array(&p->m, values, "owners"), SW_KIND_CLAIM,
                             claim);
    put_placement(&v);
    put_request(&v);
    put_header_env(&v);
    put_proxy(&v);
    put_volume(&v, put_secret_headers(&v));
    return p->m.failed ? NULL : sw_template_fill(&p->m, template, values);
}
