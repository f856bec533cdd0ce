/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/datavolume.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "cli/secrets.h"
#include "common/bytes.h"

/* A manifest of a DataVolume with these lines in its spec and annotations. */
#define DV(annotations, spec)                                                                      \
    "apiVersion: cdi.kubevirt.io/v1beta1\nkind: DataVolume\n"                                      \
    "metadata: {name: disk, namespace: ns, annotations: {" annotations "}}\nspec:\n" spec
#define HTTP "  source: {http: {url: 'https://h/x.qcow2'}}\n"
#define BLANK "  source: {blank: {}}\n"
#define STORAGE(size) "  storage: {resources: {requests: {storage: " size "}}}\n"
#define PVC(size) "  pvc: {resources: {requests: {storage: " size "}}}\n"

/* Parse and read the first document. The YAML outlives the result. */
static int read_first(const char *text, struct sw_yaml *y, struct cli_datavolume *dv,
                      struct sw_err *err)
{
    *err = (struct sw_err){ 0 };
    if (sw_yaml_parse(text, strlen(text), y, err) < 0)
        fail_msg("not YAML: %s", err->msg);
    return cli_datavolume_read(y->docs[0], y, dv, err);
}

static void refuse(const char *text, enum sw_err_kind kind, const char *part)
{
    sw_autoyaml struct sw_yaml y = { 0 };
    cli_autodv struct cli_datavolume dv = { 0 };
    struct sw_err err;

    if (read_first(text, &y, &dv, &err) == 0)
        fail_msg("accepted: %s", text);
    assert_int_equal(err.kind, kind);
    if (!strstr(err.msg, part))
        fail_msg("says '%s', not '%s'", err.msg, part);
}

static void reads_an_http_source(void **state)
{
    sw_autoyaml struct sw_yaml y = { 0 };
    cli_autodv struct cli_datavolume dv = { 0 };
    struct sw_err err;

    assert_int_equal(
        read_first(DV("slipway.io/expect-architecture: riscv64, slipway.io/checksum-url: u",
                      "  preallocation: true\n"
                      "  source: {http: {url: 'http://h/a', checksum: 'md5:x', "
                      "extraHeaders: ['A: b', 'C: d']}}\n" STORAGE("1Gi")),
                   &y, &dv, &err),
        0);
    assert_int_equal(dv.source, CLI_DV_HTTP);
    assert_string_equal(dv.ns, "ns");
    assert_string_equal(dv.name, "disk");
    assert_string_equal(dv.url, "http://h/a");
    assert_string_equal(dv.checksum, "md5:x");
    assert_string_equal(dv.expect_arch, "riscv64");
    assert_string_equal(dv.checksum_url, "u");
    assert_null(dv.keyring);
    assert_int_equal(dv.n_headers, 2);
    assert_string_equal(dv.headers[1], "C: d");
    assert_true(dv.preallocation);
    assert_true(dv.size == SW_GIB);
}

static void finds_secrets_and_certificates_in_the_same_file(void **state)
{
    static const char text[] = DV(
        "", "  source: {http: {url: 'https://h/x', secretRef: login, "
            "certConfigMap: ca, secretExtraHeaders: [token]}}\n" STORAGE(
                "1Gi")) "---\nkind: Secret\nmetadata: {name: login, namespace: other}\n"
                        "stringData: {accessKeyId: wrong, secretKey: wrong}\n"
                        "---\nkind: Secret\nmetadata: {name: login, namespace: ns}\n"
                        "data: {accessKeyId: bWU=}\nstringData: {secretKey: 'p:w'}\n"
                        "---\nkind: Secret\nmetadata: {name: token, namespace: ns}\n"
                        "data: {h: QXV0aG9yaXphdGlvbjogeAo=}\n"
                        "---\nkind: ConfigMap\nmetadata: {name: ca, namespace: ns}\ndata: {a.crt: "
                        "PEM1, b: PEM2}\n";
    sw_autoyaml struct sw_yaml y = { 0 };
    cli_autodv struct cli_datavolume dv = { 0 };
    struct sw_err err;

    if (read_first(text, &y, &dv, &err) < 0)
        fail_msg("%s", err.msg);
    assert_string_equal(dv.user, "me");
    assert_string_equal(dv.password, "p:w");
    assert_int_equal(dv.n_headers, 1);
    assert_string_equal(dv.headers[0], "Authorization: x");
    assert_string_equal(dv.ca_pem, "PEM1\nPEM2\n");
}

static void refuses_bad_secrets_without_showing_them(void **state)
{
    refuse(DV("", "  source: {http: {url: 'https://h/x', secretRef: gone}}\n" STORAGE("1Gi")),
           SW_ERR_NOT_FOUND, "Secret 'gone' of namespace 'ns'");
    refuse(DV("", "  source: {http: {url: 'https://h/x', secretRef: s}}\n" STORAGE(
                      "1Gi")) "---\nkind: Secret\nmetadata: {name: s, namespace: ns}\ndata: "
                              "{accessKeyId: bWU=}\n",
           SW_ERR_USAGE, "no accessKeyId or no secretKey");

    sw_autoyaml struct sw_yaml y = { 0 };
    cli_autodv struct cli_datavolume dv = { 0 };
    struct sw_err err;
    assert_int_equal(
        read_first(DV("", "  source: {http: {url: 'https://h/x', secretRef: s}}\n" STORAGE(
                              "1Gi")) "---\nkind: Secret\nmetadata: {name: s, namespace: ns}\n"
                                      "data: {accessKeyId: '*hunter2*', secretKey: bWU=}\n",
                   &y, &dv, &err),
        -1);
    assert_int_equal(err.kind, SW_ERR_USAGE);
    assert_null(strstr(err.msg, "hunter2"));
}

static void sizes_are_whole_mebibytes(void **state)
{
    static const struct {
        const char *text;
        uint64_t size;
    } table[] = {
        { DV("", BLANK STORAGE("1Mi")), SW_MIB },
        { DV("", BLANK STORAGE("10M")), 10 * SW_MIB },
        { DV("", BLANK PVC("10M")), 9 * SW_MIB },
        { DV("", BLANK PVC("1073741824")), SW_GIB },
        { DV("", BLANK PVC("'1.5Gi'")), 1536 * SW_MIB },
    };

    for (size_t i = 0; i < SW_COUNT(table); i++) {
        sw_autoyaml struct sw_yaml y = { 0 };
        cli_autodv struct cli_datavolume dv = { 0 };
        struct sw_err err;

        assert_int_equal(read_first(table[i].text, &y, &dv, &err), 0);
        assert_true(dv.size == table[i].size);
    }
    refuse(DV("", BLANK STORAGE("1048575")), SW_ERR_USAGE, "at least 1Mi");
    refuse(DV("", BLANK STORAGE("-1")), SW_ERR_USAGE, "requests.storage");
    refuse(DV("", BLANK STORAGE("9223372036854775807")), SW_ERR_USAGE, "requests.storage");
    refuse(DV("", BLANK STORAGE("[1]")), SW_ERR_USAGE, "requests.storage");
    refuse(DV("", BLANK), SW_ERR_USAGE, "exactly one of spec.storage and spec.pvc");
    refuse(DV("", BLANK PVC("1Gi") STORAGE("1Gi")), SW_ERR_USAGE, "exactly one of");
    refuse(DV("", BLANK "  storage: {}\n"), SW_ERR_USAGE, "is missing");
}

static void refuses_what_local_mode_does_not_do(void **state)
{
    refuse(DV("", "  source: {s3: {url: x}}\n" STORAGE("1Gi")), SW_ERR_UNSUPPORTED,
           "spec.source.s3 is not yet in local mode");
    refuse(DV("", "  sourceRef: {kind: DataSource, name: x}\n" STORAGE("1Gi")), SW_ERR_UNSUPPORTED,
           "sourceRef");
    refuse(DV("", BLANK "  contentType: archive\n" STORAGE("1Gi")), SW_ERR_USAGE,
           "needs spec.contentType kubevirt");
    refuse(DV("", BLANK "  contentType: zip\n" STORAGE("1Gi")), SW_ERR_USAGE, "zip");
    refuse(DV("", BLANK "  pvc: {volumeMode: Block, resources: {requests: {storage: 1Gi}}}\n"),
           SW_ERR_UNSUPPORTED, "slipway import");
    refuse(DV("", "  source: {blank: {}, http: {url: x}}\n" STORAGE("1Gi")), SW_ERR_USAGE,
           "exactly one member, not 2");
    refuse(DV("", "  source: {}\n" STORAGE("1Gi")), SW_ERR_USAGE, "exactly one member, not 0");
    refuse(DV("", "  source: {http: {url: 'file:///etc/passwd'}}\n" STORAGE("1Gi")), SW_ERR_USAGE,
           "http or https");
    refuse(DV("", "  source: {http: {url: [1]}}\n" STORAGE("1Gi")), SW_ERR_USAGE, "url");
    refuse(DV("", "  source: {http: {}}\n" STORAGE("1Gi")), SW_ERR_USAGE, "url is missing");
    refuse(DV("slipway.io/signature: s", HTTP STORAGE("1Gi")), SW_ERR_USAGE, "keyring");
    refuse("apiVersion: cdi.kubevirt.io/v2\nkind: DataVolume\nmetadata: {name: a}\n",
           SW_ERR_UNSUPPORTED, "v2");
}

static void headers_are_one_line_each(void **state)
{
    refuse(
        DV("",
           "  source: {http: {url: 'http://h/', extraHeaders: [\"A: b\\r\\nEvil: x\"]}}\n" STORAGE(
               "1Gi")),
        SW_ERR_USAGE, "extraHeaders[0]");
    refuse(DV("", "  source: {http: {url: 'http://h/', extraHeaders: [nocolon]}}\n" STORAGE("1Gi")),
           SW_ERR_USAGE, "one line");
}

static void names_can_not_leave_their_directory(void **state)
{
    static const char *const bad[] = {
        "",  ".",   "..",  "../x", "a/b", "/etc", "-a",   "a-",   "a..b", ".a",     "a.",
        "A", "a_b", "a b", "a\\b", "ä",   "a\n",  "a.-b", "a-.b", "~",    "%2e%2e",
    };

    for (size_t i = 0; i < SW_COUNT(bad); i++) {
        if (cli_is_dns_subdomain(bad[i]) || cli_is_dns_label(bad[i]))
            fail_msg("accepted '%s'", bad[i]);
    }
    assert_true(cli_is_dns_subdomain("debian-13.nocloud"));
    assert_false(cli_is_dns_label("debian-13.nocloud"));
    assert_true(cli_is_dns_label("0a-9"));
    refuse("apiVersion: cdi.kubevirt.io/v1beta1\nkind: DataVolume\nmetadata: {name: '../x'}\n",
           SW_ERR_USAGE, "DNS-1123");
    refuse("apiVersion: cdi.kubevirt.io/v1beta1\nkind: DataVolume\n"
           "metadata: {name: x, namespace: '..'}\n",
           SW_ERR_USAGE, "DNS-1123");
}

static void the_length_limits_of_names_are_exact(void **state)
{
    char name[256];

    memset(name, 'a', sizeof(name));
    name[63] = '\0';
    assert_true(cli_is_dns_label(name));
    name[63] = 'a';
    name[64] = '\0';
    assert_false(cli_is_dns_label(name));
    memset(name, 'a', sizeof(name));
    for (int i = 63; i < 253; i += 64)
        name[i] = '.';
    name[253] = '\0';
    assert_true(cli_is_dns_subdomain(name));
    name[253] = 'a';
    name[254] = '\0';
    assert_false(cli_is_dns_subdomain(name));
}

static void tells_datavolumes_from_other_objects(void **state)
{
    static const struct {
        const char *text;
        bool is;
    } table[] = {
        { "{apiVersion: cdi.kubevirt.io/v1beta1, kind: DataVolume}", true },
        { "{apiVersion: cdi.kubevirt.io/v9, kind: DataVolume}", true },
        { "{apiVersion: v1, kind: DataVolume}", false },
        { "{apiVersion: cdi.kubevirt.io/v1beta1, kind: DataVolumes}", false },
        { "{kind: [DataVolume], apiVersion: cdi.kubevirt.io/v1beta1}", false },
        { "[DataVolume]", false },
        { "just text", false },
    };

    for (size_t i = 0; i < SW_COUNT(table); i++) {
        sw_autoyaml struct sw_yaml y = { 0 };
        struct sw_err err = { 0 };

        assert_int_equal(sw_yaml_parse(table[i].text, strlen(table[i].text), &y, &err), 0);
        assert_int_equal(cli_datavolume_is(y.docs[0]), table[i].is);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_an_http_source),
        cmocka_unit_test(finds_secrets_and_certificates_in_the_same_file),
        cmocka_unit_test(refuses_bad_secrets_without_showing_them),
        cmocka_unit_test(sizes_are_whole_mebibytes),
        cmocka_unit_test(refuses_what_local_mode_does_not_do),
        cmocka_unit_test(headers_are_one_line_each),
        cmocka_unit_test(names_can_not_leave_their_directory),
        cmocka_unit_test(the_length_limits_of_names_are_exact),
        cmocka_unit_test(tells_datavolumes_from_other_objects),
    };

    return cmocka_run_group_tests_name("cli/datavolume", tests, NULL, NULL);
}
