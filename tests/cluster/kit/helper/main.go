// SPDX-License-Identifier: Apache-2.0

// helper: the one program of the image that tests' own pods run, and the pause process of every
// pod. Static, knows nothing of Kubernetes.
//
//	helper pause                  until a signal; takes in orphans
//	helper sleep SECONDS
//	helper id                     user, group, further groups
//	helper fill PATH BYTES        write until BYTES are there or the space is used up, then say so
//	helper write PATH TEXT        replaces the beginning of a file or device, durably
//	helper read PATH BYTES        the beginning of a file or device
//	helper digest PATH            "size sha256" of everything in it
//	helper resolve NAME           addresses, one a line
//	helper get URL                body of an HTTP answer; fails unless the status is 200
//	helper serve PORT             answers every HTTP request with "helper"
package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Exit status for "no space left on device", errno's own number.
const exitNoSpace = 28

var commands = map[string]struct {
	args int
	run  func(args []string) error
}{
	"pause":   {0, pause},
	"sleep":   {1, sleep},
	"id":      {0, id},
	"fill":    {2, fill},
	"write":   {2, write},
	"read":    {2, read},
	"digest":  {1, digest},
	"resolve": {1, resolve},
	"get":     {1, get},
	"serve":   {1, serve},
}

// Everything goes to standard output: a pod's log would mix it up with standard error.
func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "helper: name a command")
		os.Exit(2)
	}
	c, ok := commands[os.Args[1]]
	if !ok || len(os.Args)-2 != c.args {
		fmt.Fprintf(os.Stderr, "helper: '%s' with %d arguments is no command\n", os.Args[1], len(os.Args)-2)
		os.Exit(2)
	}
	err := c.run(os.Args[2:])
	if errors.Is(err, syscall.ENOSPC) {
		fmt.Println("helper:", err)
		os.Exit(exitNoSpace)
	}
	if err != nil {
		fmt.Println("helper:", err)
		os.Exit(1)
	}
}

func pause([]string) error {
	end := make(chan os.Signal, 1)
	child := make(chan os.Signal, 8)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	signal.Notify(child, syscall.SIGCHLD)
	for {
		select {
		case <-end:
			return nil
		case <-child:
			for {
				pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
				if pid <= 0 || err != nil {
					break
				}
			}
		}
	}
}

func sleep(args []string) error {
	seconds, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	select {
	case <-end:
	case <-time.After(time.Duration(seconds) * time.Second):
	}
	return nil
}

func id([]string) error {
	groups, err := os.Getgroups()
	if err != nil {
		return err
	}
	fmt.Println(os.Getuid(), os.Getgid(), strings.Trim(fmt.Sprint(groups), "[]"))
	return nil
}

func fill(args []string) error {
	want, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(args[0], os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	block := []byte(strings.Repeat("slipway\n", 1<<17))
	done := int64(0)
	for done < want && err == nil {
		n := 0
		n, err = f.Write(block[:min(want-done, int64(len(block)))])
		done += int64(n)
	}
	if err == nil {
		err = f.Sync()
	}
	fmt.Println(done)
	return err
}

func write(args []string) error {
	f, err := os.OpenFile(args[0], os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString(args[1]); err != nil {
		return err
	}
	return f.Sync()
}

func read(args []string) error {
	n, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyN(os.Stdout, f, n)
	fmt.Println()
	return err
}

func digest(args []string) error {
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err != nil {
		return err
	}
	fmt.Printf("%d %x\n", n, sum.Sum(nil))
	return nil
}

func resolve(args []string) error {
	addresses, err := net.LookupHost(args[0])
	for _, address := range addresses {
		fmt.Println(address)
	}
	return err
}

func get(args []string) error {
	client := &http.Client{Timeout: 20 * time.Second}
	answer, err := client.Get(args[0])
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", args[0], answer.Status)
	}
	_, err = io.Copy(os.Stdout, answer.Body)
	return err
}

func serve(args []string) error {
	handler := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "helper") }
	return http.ListenAndServe(":"+args[0], http.HandlerFunc(handler))
}
