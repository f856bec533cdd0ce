#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PID 1 of the cluster: mounts, then daemons, then orders.

Runs inside namespaces of its own (mount, process, network, cgroup, UTS), made by supervisor.py, and
is never ended in a friendly way: when it dies the kernel ends every process and drops every mount.

Orders come over a socket, one a connection, "VERB [NAME]", and are answered with one JSON document:
    status         each daemon: pid, number of starts, whether it is wanted; `ready`
    start NAME     nothing happens to one that runs
    stop NAME      SIGTERM; it stays away until it is started
    kill NAME      SIGKILL; like any daemon that ends by itself it comes back after a second
    restart NAME   SIGTERM; it comes back at once
"""
import json
import os
import select
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

import cgroups
import daemons
import network
import paths

BACKOFF_SECONDS = 1
# What kubelet wants of the machine, which stays as it is: files bound over the real ones.
SYSCTLS = {"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10",
           "kernel/panic_on_oops": "1"}


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError("%s: %s" % (" ".join(command), done.stderr.strip()))


def mounts():
    """A file system view in which nothing leads out."""
    run("mount", "--make-rprivate", "/")
    cgroups.mount_inside(run)
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    os.makedirs("/run/sysctl")
    for name, value in SYSCTLS.items():
        source = "/run/sysctl/" + name.replace("/", "-")
        with open(source, "w", encoding="ascii") as f:
            f.write(value + "\n")
        run("mount", "--bind", source, "/proc/sys/" + name)
    # Where libraries of containerd insist to write.
    for directory in ("/var/lib/cni", "/var/log"):
        os.makedirs(directory, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", directory)
    # Volumes that kubelet mounts must reach containers.
    run("mount", "--make-rshared", "/")


class Daemon:
    """One program, started again whenever it ends while it is wanted."""

    def __init__(self, name):
        self.name = name
        self.process = None
        self.wanted = False
        self.starts = 0
        self.due = 0.0

    def start(self):
        self.starts += 1
        with open("%s/%s.log" % (paths.LOGS, self.name), "ab") as log:
            log.write(b"--- start %d\n" % self.starts)
            log.flush()
            self.process = subprocess.Popen(
                daemons.command(self.name), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd="/", env=paths.clean_environment())

    def ended(self, status):
        print("%s ended: %d" % (self.name, status), flush=True)
        self.process.returncode = status
        self.process = None
        self.due = max(self.due, time.monotonic() + BACKOFF_SECONDS)

    def tick(self, now):
        if self.wanted and self.process is None and now >= self.due:
            try:
                self.start()
            except OSError as e:
                print("%s: %s" % (self.name, e), flush=True)
                self.due = now + BACKOFF_SECONDS

    def send(self, number):
        if self.process is not None:
            os.kill(self.process.pid, number)

    def describe(self):
        return {"pid": self.process.pid if self.process else 0, "starts": self.starts,
                "wanted": self.wanted}


class Init:
    """The loop: signals of children, orders, and what is due."""

    def __init__(self):
        self.daemons = {name: Daemon(name) for name in daemons.NAMES}
        self.stages = list(daemons.STAGES)
        self.ready = False
        self.restarting = set()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(paths.CONTROL)
        self.listener.listen(16)
        self.wake, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(self.wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def reap(self):
        """Take in every child: daemons, and what containers' shims leave to PID 1."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for daemon in self.daemons.values():
                if daemon.process is not None and daemon.process.pid == pid:
                    daemon.ended(os.waitstatus_to_exitcode(status))
                    if daemon.name in self.restarting:
                        self.restarting.discard(daemon.name)
                        daemon.due = 0.0

    def next_stage(self):
        """Each stage wants the API server that the first one starts."""
        if not self.stages:
            self.ready = True
            return
        if len(self.stages) < len(daemons.STAGES) and not api_answers():
            return
        for name in self.stages.pop(0):
            self.daemons[name].wanted = True

    def order(self, verb, name):
        if verb == "status":
            return {"ready": self.ready,
                    "daemons": {n: d.describe() for n, d in self.daemons.items()}}
        daemon = self.daemons.get(name)
        if daemon is None:
            return {"error": "no daemon '%s'; there are: %s" % (name, " ".join(self.daemons))}
        if verb == "start":
            daemon.wanted, daemon.due = True, 0.0
        elif verb == "stop":
            daemon.wanted = False
            daemon.send(signal.SIGTERM)
        elif verb == "kill":
            daemon.send(signal.SIGKILL)
        elif verb == "restart":
            daemon.wanted = True
            if daemon.process is not None:
                self.restarting.add(name)
                daemon.send(signal.SIGTERM)
        else:
            return {"error": "no order '%s'" % verb}
        return daemon.describe()

    def serve(self):
        connection, _ = self.listener.accept()
        with connection:
            connection.settimeout(5)
            try:
                words = connection.makefile("r").readline().split()
                answer = self.order(words[0] if words else "", words[1] if len(words) > 1 else "")
                connection.sendall(json.dumps(answer).encode() + b"\n")
            except OSError as e:
                print("order: %s" % e, flush=True)

    def loop(self):
        while True:
            readable, _, _ = select.select([self.listener, self.wake], [], [], 0.2)
            if self.wake in readable:
                os.read(self.wake, 512)
            self.reap()
            if self.listener in readable:
                self.serve()
            if not self.ready:
                self.next_stage()
            now = time.monotonic()
            for daemon in self.daemons.values():
                daemon.tick(now)


def api_answers():
    context = ssl._create_unverified_context()  # pylint: disable=protected-access
    try:
        with urllib.request.urlopen("https://127.0.0.1:6443/readyz", context=context,
                                    timeout=1) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def main():
    # The supervisor has to see our process id and to lay the wire.
    if sys.stdin.readline() != "go\n":
        sys.exit(1)
    mounts()
    network.inside()
    socket.sethostname(paths.NODE)
    Init().loop()


main()
