/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGS_MAX 40

static void sleep_ms(long ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

    nanosleep(&t, NULL);
}

void need_program(const char *name)
{
    char *path = strdup(getenv("PATH") ? getenv("PATH") : "/usr/bin");
    bool found = false;
    char *rest = path;

    for (char *dir; !found && (dir = strsep(&rest, ":"));) {
        char file[4096];

        snprintf(file, sizeof(file), "%s/%s", dir, name);
        found = access(file, X_OK) == 0;
    }
    free(path);
    if (!found) {
        print_message("skipped: %s is not installed\n", name);
        skip();
    }
}

/* The child dies with the thread that started it, whatever way that ends; its chatter does not disturb the TAP output. */
static pid_t spawn(const char *const *argv)
{
    pid_t pid = fork();

    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    if (!getenv("SLIPWAY_TEST_VERBOSE"))
        dup2(null, STDERR_FILENO);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

int run_program(const char *const *argv)
{
    int status = -1;
    pid_t pid = spawn(argv);

    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void nbd_server_init(struct nbd_server *s)
{
    *s = (struct nbd_server){ .dir = "nbd-XXXXXX" };
    assert_non_null(mkdtemp(s->dir));
    /* Relative: a socket's path holds only 107 bytes. */
    snprintf(s->uri, sizeof(s->uri), "nbd+unix:///?socket=%s/sock", s->dir);
}

/* Ready once the pid file is there: both servers write it when they listen. */
static void start(struct nbd_server *s, const char *const *argv, const char *ready)
{
    unlink(ready);
    s->pid = spawn(argv);
    assert_true(s->pid > 0);
    for (int i = 0; i < 1000; i++) {
        if (access(ready, F_OK) == 0)
            return;
        if (waitpid(s->pid, NULL, WNOHANG) == s->pid)
            break;
        sleep_ms(10);
    }
    s->pid = 0;
    fail_msg("%s does not start", argv[0]);
}

/* argv holds the program and where to listen; the caller's arguments follow. */
static void start_nbdkit(struct nbd_server *s, const char **argv, const char *const *args)
{
    char ready[96];
    size_t n = 0;

    need_program("nbdkit");
    snprintf(ready, sizeof(ready), "%s/ready", s->dir);
    while (argv[n])
        n++;
    argv[n++] = "-P";
    argv[n++] = ready;
    for (; *args && n < ARGS_MAX - 1; args++)
        argv[n++] = *args;
    argv[n] = NULL;
    start(s, argv, ready);
}

void nbd_server_nbdkit(struct nbd_server *s, const char *const *args)
{
    char sock[96];
    const char *argv[ARGS_MAX] = { "nbdkit", "-f", "-U", sock };

    snprintf(sock, sizeof(sock), "%s/sock", s->dir);
    unlink(sock);
    start_nbdkit(s, argv, args);
}

void nbd_server_tcp(struct nbd_server *s, const char *port, const char *const *args)
{
    const char *argv[ARGS_MAX] = { "nbdkit", "-f", "-i", "localhost", "-p", port };

    start_nbdkit(s, argv, args);
}

void nbd_server_qemu(struct nbd_server *s, const char *export, unsigned long long size)
{
    char here[4096], sock[4200], ready[96], disk[96];
    const char *argv[] = { "qemu-nbd", "-k",         sock, "--pid-file", ready,
                           "-t",       "--shared=8", "-f", "raw",        "--discard=unmap",
                           "-x",       export,       disk, NULL };

    need_program("qemu-nbd");
    assert_non_null(getcwd(here, sizeof(here)));
    snprintf(sock, sizeof(sock), "%s/%s/sock", here, s->dir); /* it takes no relative one */
    snprintf(ready, sizeof(ready), "%s/ready", s->dir);
    snprintf(disk, sizeof(disk), "%s/disk", s->dir);
    int fd = open(disk, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    close(fd);
    unlink(sock);
    start(s, argv, ready);
}

void nbd_server_kill(struct nbd_server *s)
{
    if (s->pid <= 0)
        return;
    kill(s->pid, SIGKILL);
    (void)waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

void nbd_server_done(struct nbd_server *s)
{
    DIR *d;

    nbd_server_kill(s);
    d = opendir(s->dir);
    for (struct dirent *e; d && (e = readdir(d));)
        (void)unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
    rmdir(s->dir);
}
