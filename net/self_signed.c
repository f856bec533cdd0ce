/* SPDX-License-Identifier: Apache-2.0 */
#include "net/self_signed.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "common/buf.h"

#define VALID_SECONDS (10L * 365 * 24 * 3600)
#define BACKDATE_SECONDS 3600L /* clocks of two nodes differ */

static void free_key(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static void free_cert(X509 **cert)
{
    X509_free(*cert);
}

static void free_bio(BIO **bio)
{
    BIO_free(*bio);
}

#define AUTO(free_it) __attribute__((cleanup(free_it)))

static int openssl_failed(const char *what, struct sw_err *err)
{
    const char *why = ERR_reason_error_string(ERR_get_error());

    return sw_err_set(err, SW_ERR_INTERNAL, "self-signed certificate: %s: %s", what,
                      why ? why : "unknown reason");
}

/* The text that a PEM writer left in bio, as a string of its own. */
static int bio_text(BIO *bio, char **ret, struct sw_err *err)
{
    char *bytes;
    long n = BIO_get_mem_data(bio, &bytes);

    *ret = n > 0 ? strndup(bytes, (size_t)n) : NULL;
    if (!*ret)
        return sw_err_set(err, SW_ERR_INTERNAL, "self-signed certificate: out of memory");
    return 0;
}

static bool add_names(X509 *cert, const char *host_name)
{
    X509_NAME *name = X509_get_subject_name(cert);
    sw_autobuf struct sw_buf alt = SW_BUF_INIT(128);

    sw_buf_printf(&alt, "DNS:%s", host_name);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, sw_buf_str(&alt));
    bool ok = ext && X509_add_ext(cert, ext, -1) &&
              X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)host_name,
                                         -1, -1, 0) &&
              X509_set_issuer_name(cert, name);

    X509_EXTENSION_free(ext);
    return ok;
}

/* A serial number of 63 random bits: two pods never present the same issuer and serial. */
static bool set_serial(X509 *cert)
{
    BIGNUM *serial = BN_new();
    bool ok = serial && BN_rand(serial, 63, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
              BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert));

    BN_free(serial);
    return ok;
}

static int fill_cert(X509 *cert, EVP_PKEY *key, const char *host_name, struct sw_err *err)
{
    bool ok = X509_set_version(cert, X509_VERSION_3) && set_serial(cert) &&
              X509_gmtime_adj(X509_getm_notBefore(cert), -BACKDATE_SECONDS) &&
              X509_gmtime_adj(X509_getm_notAfter(cert), VALID_SECONDS) &&
              X509_set_pubkey(cert, key) && add_names(cert, host_name) &&
              X509_sign(cert, key, EVP_sha256());

    return ok ? 0 : openssl_failed("make it", err);
}

int sw_self_signed(const char *host_name, char **ret_key, char **ret_cert, struct sw_err *err)
{
    AUTO(free_key) EVP_PKEY *key = EVP_EC_gen("P-256");
    AUTO(free_cert) X509 *cert = X509_new();
    AUTO(free_bio) BIO *key_out = BIO_new(BIO_s_secmem());
    AUTO(free_bio) BIO *cert_out = BIO_new(BIO_s_mem());
    sw_autofree char *key_text = NULL;

    if (!key || !cert || !key_out || !cert_out)
        return openssl_failed("make a key", err);
    if (fill_cert(cert, key, host_name, err) < 0)
        return -1;
    if (!PEM_write_bio_PrivateKey(key_out, key, NULL, NULL, 0, NULL, NULL) ||
        !PEM_write_bio_X509(cert_out, cert))
        return openssl_failed("write it as PEM", err);
    if (bio_text(key_out, &key_text, err) < 0 || bio_text(cert_out, ret_cert, err) < 0)
        return -1;
    *ret_key = sw_steal(key_text);
    return 0;
}
