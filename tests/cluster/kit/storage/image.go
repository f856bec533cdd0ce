// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The tools of the machine do the work: losetup, mkfs, mount. Each function here can be repeated
// after it was interrupted.

func run(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return text, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, text)
	}
	return text, nil
}

// grow makes the file at least size bytes long, without allocating any of them.
func grow(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() >= size {
		return err
	}
	return f.Truncate(size)
}

// copyImage makes a copy that shares or skips what it can.
func copyImage(from, to string) error {
	part := to + ".part"
	if _, err := run("cp", "--reflink=auto", "--sparse=always", from, part); err != nil {
		return err
	}
	return os.Rename(part, to)
}

// loopOf names the loop device over the file; "" when there is none.
func loopOf(path string) (string, error) {
	out, err := run("losetup", "--list", "--noheadings", "--output", "NAME", "--associated", path)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(strings.SplitN(out, "\n", 2)[0]), nil
}

// attach gives the file a loop device, or names the one it has.
func attach(path string) (string, error) {
	if dev, err := loopOf(path); dev != "" || err != nil {
		return dev, err
	}
	return run("losetup", "--find", "--show", path)
}

func detach(path string) error {
	dev, err := loopOf(path)
	if dev == "" || err != nil {
		return err
	}
	_, err = run("losetup", "--detach", dev)
	return err
}

// format makes a file system unless there is one. All of the space is for data: -m 0.
func format(dev, kind string) error {
	found, err := exec.Command("blkid", "--probe", "--output", "value", "--match-tag", "TYPE", dev).Output()
	if strings.TrimSpace(string(found)) != "" {
		return nil
	}
	var status *exec.ExitError
	if err != nil && !(errors.As(err, &status) && status.ExitCode() == 2) {
		return fmt.Errorf("blkid %s: %w", dev, err)
	}
	if kind == "xfs" {
		_, err = run("mkfs.xfs", "-q", dev)
	} else {
		_, err = run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "nodiscard,lazy_itable_init=1", dev)
	}
	return err
}

func mounted(target string) bool {
	return exec.Command("mountpoint", "--quiet", target).Run() == nil
}

func mount(source, target string, options ...string) error {
	if mounted(target) {
		return nil
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	_, err := run("mount", append(options, source, target)...)
	return err
}

// bindDevice makes target a block device node: the same as dev.
func bindDevice(dev, target string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	f.Close()
	info, err := os.Stat(target)
	if err != nil || info.Mode()&os.ModeDevice != 0 {
		return err
	}
	_, err = run("mount", "--bind", dev, target)
	return err
}

func unmount(target string) error {
	for mounted(target) || isDevice(target) {
		if _, err := run("umount", target); err != nil {
			return err
		}
	}
	err := os.Remove(target)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func isDevice(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&os.ModeDevice != 0
}
