/* SPDX-License-Identifier: Apache-2.0 */
#include "importer/openpgp.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/fileio.h"
#include "common/macros.h"
#include "importer/openpgp_status.h"

#define STATUS_MAX (1 * SW_MIB) /* a signature is at most 64 KiB: some hundred lines */
#define STDERR_MAX (256 * SW_KIB)

/* Descriptors as the child sees them. */
enum { CHILD_DATA, CHILD_OUT, CHILD_ERR, CHILD_STATUS, CHILD_KEYRING, CHILD_SIGNATURE, CHILD_FDS_ };

struct sw_pgp_verifier {
    pid_t pid;             /* 0: not running */
    int data;              /* our end of the child's standard input; -1 when closed */
    int child[CHILD_FDS_]; /* memory files, shared with the child; -1: none         */
    bool died;             /* the child stopped taking data */
};

/* An anonymous file, close-on-exec, numbered high enough not to be in the way of the child's. */
static int memory_file(const char *name, struct sw_err *err)
{
    sw_autoclose int low = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (low < 0)
        return sw_err_sys(err, errno, "memfd_create");

    int fd = fcntl(low, F_DUPFD_CLOEXEC, 2 * CHILD_FDS_);
    return fd < 0 ? sw_err_sys(err, errno, "duplicate a descriptor") : fd;
}

static int input_file(const char *name, struct sw_span content, struct sw_err *err)
{
    sw_autoclose int fd = memory_file(name, err);

    if (fd < 0 || sw_pwrite_full(fd, content.p, content.n, 0, err) < 0)
        return -1;

    int ret = fd;
    fd = -1;
    return ret;
}

/* A file that takes at most max bytes of output: it has its size from the start and may not grow.
 * How much was written shows in the file offset, which the child shares. */
static int output_file(const char *name, size_t max, struct sw_err *err)
{
    sw_autoclose int fd = memory_file(name, err);

    if (fd < 0)
        return -1;
    if (ftruncate(fd, (off_t)max) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) < 0)
        return sw_err_sys(err, errno, "limit a memory file to %zu bytes", max);

    int ret = fd;
    fd = -1;
    return ret;
}

/* What the child wrote; the caller frees it. */
static int read_output(int fd, char **ret, size_t *ret_len, struct sw_err *err)
{
    off_t end = lseek(fd, 0, SEEK_CUR);
    sw_autofree char *text = NULL;

    if (end < 0)
        return sw_err_sys(err, errno, "read gpgv's output");
    text = malloc((size_t)end + 1);
    if (!text)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");

    ssize_t got = sw_pread_full(fd, text, (size_t)end, 0, err);
    if (got < 0)
        return -1;
    text[got] = '\0';
    *ret_len = (size_t)got;
    *ret = sw_steal(text);
    return 0;
}

void sw_pgp_verify_close(struct sw_pgp_verifier *v)
{
    if (!v)
        return;
    if (v->data >= 0)
        close(v->data);
    if (v->pid > 0) {
        kill(v->pid, SIGKILL);
        while (waitpid(v->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    for (int i = 0; i < CHILD_FDS_; i++) {
        if (v->child[i] >= 0)
            close(v->child[i]);
    }
    free(v);
}

static void cleanup_verifier(struct sw_pgp_verifier **v)
{
    sw_pgp_verify_close(*v);
}

#define auto_verifier __attribute__((cleanup(cleanup_verifier)))

/* A verifier with its memory files, without a process. */
static int prepare(struct sw_span keyring, struct sw_span signature, struct sw_pgp_verifier **ret,
                   struct sw_err *err)
{
    auto_verifier struct sw_pgp_verifier *v = calloc(1, sizeof(*v));
    sw_autofree uint8_t *keys = NULL;
    size_t n_keys = 0;

    if (!v)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    v->data = -1;
    memset(v->child, 0xff, sizeof(v->child)); /* all -1 */
    if (keyring.n > SW_PGP_KEYRING_MAX)
        return sw_err_set(err, SW_ERR_BAD_DATA, "the keyring has %zu bytes, at most %llu are read",
                          keyring.n, (unsigned long long)SW_PGP_KEYRING_MAX);
    if (sw_pgp_dearmor(keyring, &keys, &n_keys, err) < 0)
        return -1;

    v->child[CHILD_OUT] = output_file("gpgv-text", SW_PGP_DOCUMENT_MAX, err);
    if (v->child[CHILD_OUT] < 0)
        return -1;
    v->child[CHILD_ERR] = output_file("gpgv-stderr", STDERR_MAX, err);
    if (v->child[CHILD_ERR] < 0)
        return -1;
    v->child[CHILD_STATUS] = output_file("gpgv-status", STATUS_MAX, err);
    if (v->child[CHILD_STATUS] < 0)
        return -1;
    v->child[CHILD_KEYRING] = input_file("keyring", (struct sw_span){ keys, n_keys }, err);
    if (v->child[CHILD_KEYRING] < 0)
        return -1;
    v->child[CHILD_SIGNATURE] = input_file("signature", signature, err);
    if (v->child[CHILD_SIGNATURE] < 0)
        return -1;
    *ret = sw_steal(v);
    return 0;
}

/* Nothing of our environment, default signals, and the descriptors of the enum. */
static int spawn_with(struct sw_pgp_verifier *v, char *const argv[],
                      posix_spawn_file_actions_t *actions, posix_spawnattr_t *attr)
{
    static char *const env[] = { (char *)"LC_ALL=C", NULL };
    sigset_t none, defaults;
    int rc = 0;

    sigemptyset(&none);
    sigfillset(&defaults);
    sigdelset(&defaults, SIGKILL);
    sigdelset(&defaults, SIGSTOP);
    rc = posix_spawnattr_setsigmask(attr, &none);
    if (!rc)
        rc = posix_spawnattr_setsigdefault(attr, &defaults);
    if (!rc)
        rc = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    for (int i = 0; i < CHILD_FDS_ && !rc; i++)
        rc = posix_spawn_file_actions_adddup2(actions, v->child[i], i);
    return rc ? rc : posix_spawnp(&v->pid, "gpgv", actions, attr, argv, env);
}

static int start(struct sw_pgp_verifier *v, char *const argv[], struct sw_err *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    int rc = posix_spawn_file_actions_init(&actions);

    if (rc)
        return sw_err_sys(err, rc, "start gpgv");
    rc = posix_spawnattr_init(&attr);
    if (!rc) {
        rc = spawn_with(v, argv, &actions, &attr);
        posix_spawnattr_destroy(&attr);
    }
    posix_spawn_file_actions_destroy(&actions);
    if (!rc)
        return 0;
    v->pid = 0;
    if (rc == ENOENT)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "checking signatures needs gpgv, which is not installed: install the "
                          "package 'gpgv' (Debian, Ubuntu, Alpine) or 'gnupg2' (Fedora)");
    return sw_err_sys(err, rc, "start gpgv");
}

/* The memory files are reopened by their /proc names: gpgv takes file names only. The home
 * directory does not exist on purpose: nothing of this machine's settings applies. */
#define GPGV_ARGS                                                                                  \
    (char *)"gpgv", (char *)"--homedir", (char *)"/nonexistent", (char *)"--status-fd",            \
        (char *)"3", (char *)"--keyring", (char *)"/proc/self/fd/4", (char *)"--output",           \
        (char *)"-"

int sw_pgp_verify_open(struct sw_span keyring, struct sw_span signature,
                       struct sw_pgp_verifier **ret, struct sw_err *err)
{
    static char *const argv[] = { GPGV_ARGS, (char *)"/proc/self/fd/5", (char *)"-", NULL };
    auto_verifier struct sw_pgp_verifier *v = NULL;
    int pair[2];

    if (signature.n > SW_PGP_SIGNATURE_MAX)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "the signature has %zu bytes, at most %llu are read", signature.n,
                          (unsigned long long)SW_PGP_SIGNATURE_MAX);
    if (!sw_pgp_is_signature(signature))
        return sw_err_set(err, SW_ERR_DENIED, "this is not an OpenPGP signature");
    if (prepare(keyring, signature, &v, err) < 0)
        return -1;
    assert(v);

    /* A socket and not a pipe: send() can be told not to raise SIGPIPE. */
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return sw_err_sys(err, errno, "connect to gpgv");
    v->data = pair[0];
    v->child[CHILD_DATA] = fcntl(pair[1], F_DUPFD_CLOEXEC, 2 * CHILD_FDS_);
    close(pair[1]);
    if (v->child[CHILD_DATA] < 0)
        return sw_err_sys(err, errno, "connect to gpgv");
    if (start(v, argv, err) < 0)
        return -1;
    close(v->child[CHILD_DATA]);
    v->child[CHILD_DATA] = -1;
    *ret = sw_steal(v);
    return 0;
}

void sw_pgp_verify_update(struct sw_pgp_verifier *v, const void *bytes, size_t n)
{
    const char *p = bytes;

    while (n && !v->died) {
        ssize_t put = send(v->data, p, n, MSG_NOSIGNAL);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0) {
            v->died = true; /* a signature it cannot use: the status says which */
            return;
        }
        p += put;
        n -= (size_t)put;
    }
}

/* Let gpgv come to its end and read what it says. Its exit code adds nothing: it is non-zero also
 * when one of several signatures is by an unknown key. Death by a signal is another matter. */
static int conclude(struct sw_pgp_verifier *v, struct sw_pgp_signer *ret, unsigned *ret_plaintexts,
                    struct sw_err *err)
{
    sw_autofree char *status = NULL;
    size_t n = 0;
    int code = 0;

    if (v->data >= 0)
        close(v->data);
    v->data = -1;
    while (waitpid(v->pid, &code, 0) < 0) {
        if (errno != EINTR)
            return sw_err_sys(err, errno, "wait for gpgv");
    }
    v->pid = 0;
    if (!WIFEXITED(code))
        return sw_err_set(err, SW_ERR_DENIED, "no valid OpenPGP signature: gpgv died of signal %d",
                          WTERMSIG(code));
    if (read_output(v->child[CHILD_STATUS], &status, &n, err) < 0)
        return -1;
    struct sw_span span = { (const uint8_t *)status, n };
    return sw_pgp_judge_status(span, ret, ret_plaintexts, err);
}

int sw_pgp_verify_finish(struct sw_pgp_verifier *v, struct sw_pgp_signer *ret, struct sw_err *err)
{
    /* An answer about data that did not reach gpgv whole is no answer. */
    bool died = v->died;
    struct sw_pgp_signer signer;

    if (conclude(v, &signer, NULL, err) < 0)
        return -1;
    if (died)
        return sw_err_set(err, SW_ERR_DENIED,
                          "no valid OpenPGP signature: gpgv did not read all of the data");
    *ret = signer;
    return 0;
}

int sw_pgp_verify_detached(struct sw_span keyring, struct sw_span signature, struct sw_span data,
                           struct sw_pgp_signer *ret, struct sw_err *err)
{
    auto_verifier struct sw_pgp_verifier *v = NULL;

    if (sw_pgp_verify_open(keyring, signature, &v, err) < 0)
        return -1;
    assert(v);
    sw_pgp_verify_update(v, data.p, data.n);
    return sw_pgp_verify_finish(v, ret, err);
}

int sw_pgp_verify_clear(struct sw_span keyring, struct sw_span document, char **ret_text,
                        size_t *ret_len, struct sw_pgp_signer *ret, struct sw_err *err)
{
    static char *const argv[] = { GPGV_ARGS, (char *)"/proc/self/fd/5", NULL };
    auto_verifier struct sw_pgp_verifier *v = NULL;
    struct sw_pgp_signer signer;
    unsigned plaintexts = 0;
    size_t n = 0;

    if (document.n > SW_PGP_DOCUMENT_MAX)
        return sw_err_set(err, SW_ERR_BAD_DATA, "the document has %zu bytes, at most %llu are read",
                          document.n, (unsigned long long)SW_PGP_DOCUMENT_MAX);
    /* Compressed messages are signed texts too, but can unpack to anything. */
    if (!sw_pgp_is_clear_signed(document))
        return sw_err_set(err, SW_ERR_DENIED, "this is not a clear-signed document");
    if (prepare(keyring, document, &v, err) < 0)
        return -1;
    assert(v);
    v->child[CHILD_DATA] = input_file("empty", (struct sw_span){ (const uint8_t *)"", 0 }, err);
    if (v->child[CHILD_DATA] < 0 || start(v, argv, err) < 0 ||
        conclude(v, &signer, &plaintexts, err) < 0)
        return -1;
    if (plaintexts != 1)
        return sw_err_set(err, SW_ERR_DENIED,
                          "the document holds %u signed texts: which one counts is not clear",
                          plaintexts);
    if (read_output(v->child[CHILD_OUT], ret_text, ret_len ? ret_len : &n, err) < 0)
        return -1;
    *ret = signer;
    return 0;
}
