/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/pgp_keys.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/buf.h"

static const char prelude[] =
    "set -eu\n"
    "export GNUPGHOME=\"$PWD\"\n"
    "trap 'gpgconf --kill all' EXIT\n"
    "quiet() { \"$@\" >log 2>&1 || { cat log >&2; exit 1; }; }\n"
    "key() { quiet gpg --batch --yes --passphrase '' --quick-gen-key \"$1 <$1@example.test>\""
    " \"$2\" sign \"${3:-never}\"; }\n"
    "sign() { u=$1; shift; quiet gpg --batch --yes --pinentry-mode loopback --passphrase ''"
    " -u \"$u@example.test\" \"$@\"; }\n";

/* The exit status of `sh -c text` with `dir` as its working directory. */
static int run_in(const char *dir, const char *text)
{
    sw_autobuf struct sw_buf script = SW_BUF_INIT(1 << 16);
    extern char **environ;
    char *argv[] = { (char *)"sh", (char *)"-c", NULL, NULL };
    pid_t pid;
    int code;

    sw_buf_printf(&script, "cd '%s'\n%s", dir, text);
    argv[2] = script.p;
    if (posix_spawnp(&pid, "sh", NULL, NULL, argv, environ) != 0)
        abort();
    while (waitpid(pid, &code, 0) < 0) {
        if (errno != EINTR)
            abort();
    }
    return code;
}

char *pgp_keys_make(const char *script)
{
    sw_autobuf struct sw_buf text = SW_BUF_INIT(1 << 16);
    char *dir = NULL;

    if (run_in("/", "command -v gpg gpgv gpgconf >/dev/null") != 0)
        return NULL;
    /* Not in the build directory: the agent's socket lies in it, whose path has 108 bytes at most. */
    if (asprintf(&dir, "%s/sw-pgp-XXXXXX", P_tmpdir) < 0 || !mkdtemp(dir))
        abort();
    sw_buf_puts(&text, prelude);
    sw_buf_puts(&text, script);
    if (run_in(dir, text.p) != 0) {
        fprintf(stderr, "making keys in %s failed\n", dir);
        abort();
    }
    return dir;
}

void pgp_keys_done(char *dir)
{
    if (dir && run_in("/", "true") == 0) {
        sw_autobuf struct sw_buf text = SW_BUF_INIT(1 << 12);

        sw_buf_printf(&text, "rm -rf -- '%s'", dir);
        run_in("/", text.p);
    }
    free(dir);
}
