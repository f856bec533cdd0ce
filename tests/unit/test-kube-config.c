/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/fileio.h"

#define HEAD                                                                                       \
    "apiVersion: v1\nkind: Config\ncurrent-context: one\ncontexts:\n"                              \
    "- name: one\n  context: {cluster: c, user: u, namespace: mine}\n"                             \
    "- name: two\n  context: {cluster: c}\n"                                                       \
    "- name: lost\n  context: {cluster: nowhere, user: u}\n"
#define CLUSTER "clusters:\n- name: c\n  cluster:\n    server: https://host:6443/k8s/x/\n"
#define USER "users:\n- name: u\n  user:\n"

static struct sw_kube_config *parse(const char *text, const char *context)
{
    struct sw_kube_config *c = NULL;
    struct sw_err err = { 0 };

    if (sw_kube_config_parse(text, strlen(text), "/dir/", context, &c, &err) < 0)
        fail_msg("%s", err.msg);
    return c;
}

static void takes_what_stands_in_the_file(void **state)
{
    sw_auto_kube_config struct sw_kube_config *c = parse(
        HEAD CLUSTER "    certificate-authority-data: Y2E=\n    tls-server-name: other\n"
                     "    proxy-url: http://proxy:3128\n" USER
                     "    token: t0k3n\n    client-certificate-data: Y2VydA==\n"
                     "    client-key-data: a2V5\n",
        NULL);
    const struct sw_kube_access *a = sw_kube_config_access(c);

    assert_string_equal(a->server, "https://host:6443/k8s/x");
    assert_string_equal(a->ns, "mine");
    assert_string_equal(a->token, "t0k3n");
    assert_string_equal(a->ca, "ca");
    assert_string_equal(a->cert, "cert");
    assert_string_equal(a->key, "key");
    assert_string_equal(a->server_name, "other");
    assert_string_equal(a->proxy, "http://proxy:3128");
    assert_false(a->is_insecure);
}

static void another_context_is_another_world(void **state)
{
    sw_auto_kube_config struct sw_kube_config *c = parse(
        HEAD CLUSTER "    insecure-skip-tls-verify: true\n" USER "    token: t\n", "two");
    const struct sw_kube_access *a = sw_kube_config_access(c);

    assert_string_equal(a->ns, "default");
    assert_null(a->token);
    assert_null(a->ca);
    assert_true(a->is_insecure);
}

static void refuses_what_it_cannot_do_by_name(void **state)
{
    static const struct {
        const char *text, *context, *message;
        enum sw_err_kind kind;
    } table[] = {
        { HEAD CLUSTER USER "    exec: {command: x}\n", NULL, "'exec'", SW_ERR_UNSUPPORTED },
        { HEAD CLUSTER USER "    auth-provider: {name: gcp}\n", NULL, "'auth-provider'",
          SW_ERR_UNSUPPORTED },
        { HEAD CLUSTER USER "    username: a\n", NULL, "'username'", SW_ERR_UNSUPPORTED },
        { HEAD CLUSTER USER "    as: root\n", NULL, "'as'", SW_ERR_UNSUPPORTED },
        { HEAD CLUSTER USER "    token: t\n", "three", "no context 'three'", SW_ERR_USAGE },
        { HEAD CLUSTER USER "    token: t\n", "lost", "no cluster 'nowhere'", SW_ERR_USAGE },
        { HEAD CLUSTER "users: []\n", NULL, "no user 'u'", SW_ERR_USAGE },
        { HEAD CLUSTER USER "    token: \"a b\"\n", NULL, "token", SW_ERR_USAGE },
        { HEAD CLUSTER USER "    token: \"a\\nX: b\"\n", NULL, "token", SW_ERR_USAGE },
        { HEAD CLUSTER USER "    token: [t]\n", NULL, "token", SW_ERR_USAGE },
        { HEAD CLUSTER USER "    client-key-data: \"*\"\n", NULL, "base64", SW_ERR_USAGE },
        { HEAD CLUSTER USER "    client-key: k\n", NULL, "go together", SW_ERR_USAGE },
        { HEAD "clusters:\n- name: c\n  cluster: {server: ftp://x}\n", "two", "server",
          SW_ERR_USAGE },
        { HEAD "clusters:\n- name: c\n  cluster: {server: 'https://u:p@x'}\n", "two", "password",
          SW_ERR_UNSUPPORTED },
        { HEAD "clusters:\n- name: c\n  cluster: {server: 'https://x/?a=b'}\n", "two", "query",
          SW_ERR_USAGE },
        { HEAD "clusters:\n- name: c\n  cluster: {}\n", "two", "no server", SW_ERR_USAGE },
        { "kind: Pod\n", NULL, "Pod", SW_ERR_USAGE },
        { "kind: Config\n", NULL, "no context", SW_ERR_USAGE },
        { "", NULL, "0 documents", SW_ERR_USAGE },
        { "a: 1\n---\na: 1\n", NULL, "2 documents", SW_ERR_USAGE },
        { "\t{", NULL, "line 1", SW_ERR_USAGE },
    };

    for (size_t i = 0; i < SW_COUNT(table); i++) {
        struct sw_kube_config *c = NULL;
        struct sw_err err = { 0 };

        if (sw_kube_config_parse(table[i].text, strlen(table[i].text), "/", table[i].context, &c,
                                 &err) == 0)
            fail_msg("taken: %s", table[i].message);
        if (!strstr(err.msg, table[i].message))
            fail_msg("'%s' is not in '%s'", table[i].message, err.msg);
        assert_int_equal(err.kind, table[i].kind);
        assert_null(c);
    }
}

/* --- Files --------------------------------------------------------------------------------------- */

struct folder {
    char path[64];
};

static int make_folder(void **state)
{
    struct folder *f = calloc(1, sizeof(*f));

    snprintf(f->path, sizeof(f->path), "%s/kube-config-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : ".");
    *state = f;
    return mkdtemp(f->path) ? 0 : -1;
}

static const char *const names[] = { "config", "token", "ca.crt", "namespace", "cert", "key" };

static void name_file(const struct folder *f, const char *name, struct sw_buf *ret)
{
    sw_buf_init(ret, 256);
    sw_buf_printf(ret, "%s/%s", f->path, name);
}

static int remove_folder(void **state)
{
    struct folder *f = *state;

    for (size_t i = 0; i < SW_COUNT(names); i++) {
        sw_autobuf struct sw_buf path = SW_BUF_INIT(0);

        name_file(f, names[i], &path);
        unlink(path.p);
    }
    rmdir(f->path);
    free(f);
    return 0;
}

static void write_file(const struct folder *f, const char *name, const char *text)
{
    sw_autobuf struct sw_buf path = SW_BUF_INIT(0);
    struct sw_err err = { 0 };

    name_file(f, name, &path);
    assert_int_equal(sw_file_replace(path.p, text, strlen(text), 0600, &err), 0);
}

static void files_are_read_again_when_they_change(void **state)
{
    const struct folder *f = *state;
    sw_auto_kube_config struct sw_kube_config *c = NULL;
    sw_autobuf struct sw_buf path = SW_BUF_INIT(0);
    struct sw_err err = { 0 };

    write_file(f, "config",
               HEAD CLUSTER "    certificate-authority: ca.crt\n" USER "    token: inline\n"
                            "    tokenFile: token\n    client-certificate: cert\n"
                            "    client-key: key\n");
    name_file(f, "config", &path);
    assert_int_equal(sw_kube_config_file(path.p, NULL, &c, &err), -1);
    assert_int_equal(err.kind, SW_ERR_NOT_FOUND);

    write_file(f, "token", "first\n");
    write_file(f, "ca.crt", "CA\n");
    write_file(f, "cert", "CERT\n");
    write_file(f, "key", "KEY\n");
    assert_int_equal(sw_kube_config_file(path.p, NULL, &c, &err), 0);
    const struct sw_kube_access *a = sw_kube_config_access(c);
    assert_string_equal(a->token, "first"); /* the file wins, without its line's end */
    assert_string_equal(a->ca, "CA\n");
    assert_string_equal(a->key, "KEY\n");

    assert_int_equal(sw_kube_config_refresh(c, false, &err), 0);
    write_file(f, "token", "first");
    assert_int_equal(sw_kube_config_refresh(c, false, &err), 0); /* another file, the same token */
    write_file(f, "token", "second");
    write_file(f, "ca.crt", "CA2\n");
    assert_int_equal(sw_kube_config_refresh(c, false, &err), 1);
    assert_string_equal(a->token, "second");
    assert_string_equal(a->ca, "CA2\n");
}

static void what_cannot_be_read_leaves_what_was(void **state)
{
    static const char *const bad[] = { "", " \n", "two\nlines", "a\x01z" };
    const struct folder *f = *state;
    sw_auto_kube_config struct sw_kube_config *c = NULL;
    sw_autobuf struct sw_buf path = SW_BUF_INIT(0), token = SW_BUF_INIT(0);
    struct sw_err err = { 0 };

    write_file(f, "config", HEAD CLUSTER USER "    tokenFile: token\n");
    write_file(f, "token", "good");
    name_file(f, "config", &path);
    name_file(f, "token", &token);
    assert_int_equal(sw_kube_config_file(path.p, NULL, &c, &err), 0);
    for (size_t i = 0; i < SW_COUNT(bad); i++) {
        write_file(f, "token", bad[i]);
        assert_int_equal(sw_kube_config_refresh(c, false, &err), -1);
        assert_int_equal(err.kind, SW_ERR_BAD_DATA);
        assert_string_equal(sw_kube_config_access(c)->token, "good");
    }
    unlink(token.p);
    assert_int_equal(sw_kube_config_refresh(c, true, &err), -1);
    assert_string_equal(sw_kube_config_access(c)->token, "good");
}

static void a_pod_is_recognised_by_environment_and_files(void **state)
{
    const struct folder *f = *state;
    sw_auto_kube_config struct sw_kube_config *c = NULL;
    struct sw_err err = { 0 };

    unsetenv("KUBERNETES_SERVICE_HOST");
    assert_int_equal(sw_kube_config_in_cluster(f->path, &c, &err), -1);
    assert_int_equal(err.kind, SW_ERR_USAGE);
    setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
    setenv("KUBERNETES_SERVICE_PORT", "443", 1);
    assert_int_equal(sw_kube_config_in_cluster(f->path, &c, &err), -1);
    assert_int_equal(err.kind, SW_ERR_USAGE);
    assert_non_null(strstr(err.msg, "token"));
    write_file(f, "token", "t");
    write_file(f, "ca.crt", "CA");
    assert_int_equal(sw_kube_config_in_cluster(f->path, &c, &err), 0);
    assert_string_equal(sw_kube_config_access(c)->server, "https://[fd00::1]:443");
    assert_string_equal(sw_kube_config_access(c)->ns, "default");
    sw_kube_config_free(sw_steal(c));
    write_file(f, "namespace", "cdi\n");
    assert_int_equal(sw_kube_config_in_cluster(f->path, &c, &err), 0);
    assert_string_equal(sw_kube_config_access(c)->ns, "cdi");
    setenv("KUBERNETES_SERVICE_PORT", "https", 1);
    sw_kube_config_free(sw_steal(c));
    assert_int_equal(sw_kube_config_in_cluster(f->path, &c, &err), -1);
    assert_int_equal(err.kind, SW_ERR_USAGE);
    unsetenv("KUBERNETES_SERVICE_HOST");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_stands_in_the_file),
        cmocka_unit_test(another_context_is_another_world),
        cmocka_unit_test(refuses_what_it_cannot_do_by_name),
        cmocka_unit_test_setup_teardown(files_are_read_again_when_they_change, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_leaves_what_was, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_pod_is_recognised_by_environment_and_files, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests_name("kube/config", tests, NULL, NULL);
}
