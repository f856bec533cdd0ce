#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Log in to a virtual machine on its serial console and run one command there.

console.py [--timeout S] [--show] --command CMD -- QEMU ARG...

Runs QEMU with the guest's console on its standard input and output, waits for the login
prompt, logs in as root without a password, runs CMD, prints what it printed and powers the
machine off. Exit status: that of CMD; 124 when something did not come in time; 125 when QEMU
ended early. In both last cases the end of the console is on standard error.
"""

import argparse
import os
import re
import selectors
import signal
import subprocess
import sys
import time

TAIL_LINES = 40
TERMINAL_CODES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[78])|\r")


class ConsoleError(Exception):
    """The machine did not do what was waited for; status is the exit status to end with."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Console:
    """A running QEMU and all that its console has said."""

    def __init__(self, argv, deadline, show):
        self.qemu = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, bufsize=0)
        self.deadline = deadline
        self.show = show
        self.text = ""
        self.seen = 0
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.qemu.stdout, selectors.EVENT_READ)

    def send(self, text):
        self.qemu.stdin.write(text.encode())

    def read_more(self, waiting_for):
        """Append what the console says next."""
        left = self.deadline - time.monotonic()
        if left <= 0 or not self.selector.select(left):
            raise ConsoleError(124, f"no {waiting_for} in time")
        data = os.read(self.qemu.stdout.fileno(), 65536)
        if not data:
            raise ConsoleError(125, f"qemu ended before {waiting_for}")
        text = data.decode(errors="replace")
        self.text += text
        if self.show:
            sys.stderr.write(TERMINAL_CODES.sub("", text))
            sys.stderr.flush()

    def expect(self, answers, waiting_for):
        """Wait for one of the patterns, from where the last wait ended.

        answers maps a pattern to the text to send when it appears, once. None instead of a
        text ends the wait and the match is returned; a ConsoleError is raised.
        """
        answers = dict(answers)
        while True:
            for pattern, answer in list(answers.items()):
                match = re.compile(pattern, re.DOTALL).search(self.text, self.seen)
                if not match:
                    continue
                self.seen = match.end()
                if answer is None:
                    return match
                if isinstance(answer, ConsoleError):
                    raise answer
                self.send(answer)
                del answers[pattern]
            self.read_more(waiting_for)

    def tail(self):
        lines = TERMINAL_CODES.sub("", self.text).splitlines()
        return "\n".join(lines[-TAIL_LINES:])

    def wait_for_end(self):
        try:
            while True:
                self.read_more("power-off")
        except ConsoleError as end:
            if end.status != 125:
                raise

    def close(self):
        if self.qemu.poll() is None:
            self.qemu.kill()
        self.qemu.wait()


def run_in_guest(console, command):
    """Boot, log in, run the command; returns (status, output)."""
    # U-Boot counts down two seconds before it boots; a key and "boot" do not wait.
    console.expect({r"Hit any key to stop autoboot": "\r",
                    r"\n=> $": "boot\r",
                    r"boot\r\n.*\n=> $": ConsoleError(125, "U-Boot found nothing to boot"),
                    r"login: $": None}, "login prompt")
    console.send("root\r")
    console.expect({r"# (\x1b\[6n)?$": None}, "shell prompt")

    # The quotes keep the echo of the typed line from looking like the markers.
    console.send(f"echo '@@'start; ({command}); echo '@@'end:$?\r")
    answer = console.expect({r"@@start\r\n(.*?)@@end:(\d+)\r\n": None}, "end of the command")
    console.expect({r"# (\x1b\[6n)?$": None}, "shell prompt")
    console.send("poweroff -f\r")
    console.wait_for_end()
    return int(answer[2]), TERMINAL_CODES.sub("", answer[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--timeout", type=float, default=180, help="seconds for all of it")
    parser.add_argument("--show", action="store_true", help="copy the console to stderr")
    parser.add_argument("--command", required=True)
    parser.add_argument("qemu", nargs="+")
    args = parser.parse_args()

    # End through the finally below, which ends QEMU too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console(args.qemu, time.monotonic() + args.timeout, args.show)
    try:
        status, output = run_in_guest(console, args.command)
        sys.stdout.write(output)
        return status
    except (ConsoleError, BrokenPipeError) as error:
        if not args.show:
            sys.stderr.write(console.tail() + "\n")
        sys.stderr.write(f"boot-to-login: {error}\n")
        return getattr(error, "status", 125)
    finally:
        console.close()


if __name__ == "__main__":
    sys.exit(main())
