/* SPDX-License-Identifier: Apache-2.0 */
/* Real NBD servers for one test each: nbdkit and qemu-nbd on a UNIX socket in a directory of their
 * own below the working directory. A missing program skips the test. */
#ifndef SW_TESTS_NBD_SERVER_H
#define SW_TESTS_NBD_SERVER_H

#include <sys/types.h>

struct nbd_server {
    pid_t pid;
    char dir[64];  /* "sock", "ready", "log", "disk" lie here */
    char uri[256]; /* nbd+unix:///?socket=... */
};

/* Make the directory and the URI; start nothing. */
void nbd_server_init(struct nbd_server *s);

/* Start nbdkit with these arguments (NULL ends them) on the socket, and wait until it listens. */
void nbd_server_nbdkit(struct nbd_server *s, const char *const *args);

/* The same on a TCP port of the loopback instead of the socket. */
void nbd_server_tcp(struct nbd_server *s, const char *port, const char *const *args);

/* qemu-nbd on the raw file "disk", made sparse with this size. */
void nbd_server_qemu(struct nbd_server *s, const char *export, unsigned long long size);

/* Kill it at once and reap it; the directory stays. */
void nbd_server_kill(struct nbd_server *s);

/* Kill it and remove the directory. */
void nbd_server_done(struct nbd_server *s);

/* Skip the current test unless the program is in PATH. */
void need_program(const char *name);

/* Run a program to its end; its exit status. */
int run_program(const char *const *argv);

#endif
