/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_roots.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/fileio.h"

#define PEM_FILE_MAX (4u << 20) /* bytes; Debian's whole bundle has 0.2 MiB */
#define DIR_FILES_MAX 4096

struct sw_tls_roots {
    STACK_OF(X509) * certs;
};

int sw_tls_roots_open(struct sw_tls_roots **ret, struct sw_err *err)
{
    sw_autofree struct sw_tls_roots *roots = calloc(1, sizeof(*roots));

    if (roots)
        roots->certs = sk_X509_new_null();
    if (!roots || !roots->certs)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    *ret = sw_steal(roots);
    return 0;
}

void sw_tls_roots_close(struct sw_tls_roots *roots)
{
    if (!roots)
        return;
    sk_X509_pop_free(roots->certs, X509_free);
    free(roots);
}

int sw_tls_roots_count(const struct sw_tls_roots *roots)
{
    return sk_X509_num(roots->certs);
}

/* The number of certificates taken from the text; what is not one ends it, as a key does not. */
static int add_pem(struct sw_tls_roots *roots, const char *pem, size_t n)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)n);
    int added = 0;

    while (bio) {
        X509 *cert = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);

        if (!cert)
            break;
        if (!sk_X509_push(roots->certs, cert)) {
            X509_free(cert);
            break;
        }
        added++;
    }
    BIO_free(bio);
    ERR_clear_error(); /* reading up to "no start line" is how the loop ends */
    return added;
}

static int add_path(struct sw_tls_roots *roots, const char *path, struct sw_err *err)
{
    sw_autofree char *pem = NULL;
    size_t n = 0;

    if (sw_file_slurp(path, PEM_FILE_MAX, &pem, &n, err) < 0)
        return sw_err_wrap(err, "read CA certificates");
    return add_pem(roots, pem, n);
}

int sw_tls_roots_add_file(struct sw_tls_roots *roots, const char *path, struct sw_err *err)
{
    int added = add_path(roots, path, err);

    if (added < 0)
        return -1;
    if (added == 0)
        return sw_err_set(err, SW_ERR_USAGE, "'%s' holds no PEM certificate", path);
    return 0;
}

static void cleanup_dir(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

int sw_tls_roots_add_dir(struct sw_tls_roots *roots, const char *path, struct sw_err *err)
{
    __attribute__((cleanup(cleanup_dir))) DIR *dir = opendir(path);
    const struct dirent *entry;
    unsigned files = 0;

    if (!dir)
        return sw_err_sys(err, errno, "open the CA directory '%s'", path);
    while ((entry = readdir(dir)) != NULL) {
        sw_autobuf struct sw_buf file = SW_BUF_INIT(8192);
        struct stat st;

        if (entry->d_name[0] == '.')
            continue;
        sw_buf_printf(&file, "%s/%s", path, entry->d_name);
        if (sw_buf_check(&file, "path", err) < 0)
            return -1;
        if (stat(file.p, &st) < 0 || !S_ISREG(st.st_mode))
            continue;
        if (++files > DIR_FILES_MAX)
            return sw_err_set(err, SW_ERR_USAGE, "the CA directory '%s' has more than %d files",
                              path, DIR_FILES_MAX);
        if (add_path(roots, file.p, err) < 0)
            return -1;
    }
    return 0;
}

bool sw_tls_roots_apply(const struct sw_tls_roots *roots, SSL_CTX *ctx)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);

    for (int i = 0; i < sk_X509_num(roots->certs); i++) {
        if (!X509_STORE_add_cert(store, sk_X509_value(roots->certs, i)))
            return false;
    }
    return true;
}
