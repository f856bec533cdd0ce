/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/options.h"

#include <stddef.h>
#include <string.h>

#include "common/macros.h"
#include "common/parse.h"

enum kind { FLAG, TEXT, NUMBER };

static const struct option {
    const char *name;
    enum kind kind;
    const char *value; /* what follows the name, for --help */
    uint64_t min, max; /* NUMBER                            */
    size_t offset;
    const char *help;
} options[] = {
#define AT(field) offsetof(struct sw_controller_args, field)
    { "kubeconfig", TEXT, "FILE", 0, 0, AT(kubeconfig),
      "how to reach the API server; without it $KUBECONFIG, the\n"
      "pod's service account, or ~/.kube/config" },
    { "context", TEXT, "NAME", 0, 0, AT(context),
      "a context of that file (default: its current one)" },
    { "namespace", TEXT, "NS", 0, 0, AT(ns),
      "the controller's own (default: the pod's, else cdi)" },
    { "leader-elect", FLAG, NULL, 0, 0, AT(leader_elect),
      "work only while holding a Lease: for several replicas" },
    { "image", TEXT, "IMAGE", 0, 0, AT(image),
      "of the pods that move data (default: slipway:" SW_VERSION ")" },
    { "pull-policy", TEXT, "POLICY", 0, 0, AT(pull_policy),
      "of that image: Always, IfNotPresent, Never\n(default: IfNotPresent)" },
    { "port", NUMBER, "N", 0, 65535, AT(port),
      "/healthz, /readyz and /metrics over HTTP (default: 8080;\n0: any)" },
    { "jobs", NUMBER, "N", 1, 1024, AT(jobs), "objects that are worked on at once (default: 64)" },
    { "verbosity", NUMBER, "N", 0, 9, AT(verbosity), "-v of the pods that move data (default: 1)" },
    { "log-level", TEXT, "LEVEL", 0, 0, AT(log_level), "error, warn, info, debug (default: info)" },
    { "help", FLAG, NULL, 0, 0, AT(help), "this text" },
    { "version", FLAG, NULL, 0, 0, AT(version), "print the version" },
#undef AT
};

/* The option that a word "--name" or "--name=..." means. *ret_value: what stands after '=', or NULL. */
static const struct option *find(const char *word, const char **ret_value)
{
    const char *name = word + 2;
    size_t n = strcspn(name, "=");

    *ret_value = name[n] == '=' ? name + n + 1 : NULL;
    for (size_t i = 0; i < SW_COUNT(options); i++) {
        if (strlen(options[i].name) == n && memcmp(options[i].name, name, n) == 0)
            return &options[i];
    }
    return NULL;
}

static int set(const struct option *o, const char *value, struct sw_controller_args *args,
               struct sw_err *err)
{
    char *field = (char *)args + o->offset;

    switch (o->kind) {
    case FLAG:
        if (value)
            return sw_err_set(err, SW_ERR_USAGE, "--%s takes no value", o->name);
        memcpy(field, &(bool){ true }, sizeof(bool));
        return 0;
    case TEXT:
        if (!*value)
            return sw_err_set(err, SW_ERR_USAGE, "--%s is empty", o->name);
        memcpy(field, &value, sizeof(value));
        return 0;
    case NUMBER:
        break;
    }
    uint64_t v = 0;
    if (sw_parse_u64(value, o->min, o->max, &v, err) < 0)
        return sw_err_wrap(err, "--%s", o->name);
    memcpy(field, &v, sizeof(v));
    return 0;
}

static int check(const struct sw_controller_args *a, struct sw_err *err)
{
    static const char *const policies[] = { "Always", "IfNotPresent", "Never" };

    for (size_t i = 0; i < SW_COUNT(policies); i++) {
        if (strcmp(a->pull_policy, policies[i]) == 0)
            return 0;
    }
    return sw_err_set(err, SW_ERR_USAGE,
                      "--pull-policy: '%.64s' is not Always, IfNotPresent or Never",
                      a->pull_policy);
}

int sw_controller_parse(int argc, char *const *argv, struct sw_controller_args *ret,
                        struct sw_err *err)
{
    struct sw_controller_args a = {
        .image = "slipway:" SW_VERSION,
        .pull_policy = "IfNotPresent",
        .log_level = "info",
        .port = 8080,
        .jobs = 64,
        .verbosity = 1,
    };

    for (int i = 1; i < argc && !a.help && !a.version; i++) {
        const char *value = NULL;
        const struct option *o = strncmp(argv[i], "--", 2) == 0 ? find(argv[i], &value) : NULL;

        if (!o)
            return sw_err_set(err, SW_ERR_USAGE, "unknown option '%.64s'; see --help", argv[i]);
        if (!value && o->kind != FLAG) {
            if (++i >= argc)
                return sw_err_set(err, SW_ERR_USAGE, "--%s needs a value: %s", o->name, o->value);
            value = argv[i];
        }
        if (set(o, value, &a, err) < 0)
            return -1;
    }
    *ret = a;
    return a.help || a.version ? 0 : check(&a, err);
}

static void print_option(FILE *out, const struct option *o)
{
    char left[32];

    (void)snprintf(left, sizeof(left), "--%s%s%s", o->name, o->value ? " " : "",
                   o->value ? o->value : "");
    for (const char *line = o->help; *line;) {
        int n = (int)strcspn(line, "\n");

        (void)fprintf(out, "  %-22s %.*s\n", line == o->help ? left : "", n, line);
        line += n + (line[n] == '\n');
    }
}

void sw_controller_print_help(FILE *out)
{
    (void)fputs("Usage: slipway-controller [OPTION]...\n\n"
                "Keep claims and importer pods as the cluster's DataVolumes ask for.\n\nOptions:\n",
                out);
    for (size_t i = 0; i < SW_COUNT(options); i++)
        print_option(out, &options[i]);
    (void)fputs("\nSignals: SIGTERM and SIGINT end it in order: requests under way are finished,\n"
                "the Lease is given back.\n"
                "Exit codes: 0 ended by a signal, 1 internal, 2 usage, 3 transient, 4 denied,\n"
                "5 not found, 6 bad data, 7 unsupported. See slipway-controller(1).\n",
                out);
}
