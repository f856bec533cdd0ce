// SPDX-License-Identifier: Apache-2.0

// storage: the volumes of the test cluster.
//
//	storage local --kubeconfig FILE --node NAME --dir DIR
//	storage csi   --node NAME --dir DIR --endpoint SOCKET --registration SOCKET
//
// "local" is a provisioner for the classes of slipway.io/local (a PersistentVolume of type local
// for each claim) and of slipway.io/fake (volumes that exist on paper only, for thousands of
// claims). "csi" is a CSI driver, csi.slipway.io, with snapshots, clones and growth, to stand
// behind the published external-provisioner and external-snapshotter.
//
// Each volume is one sparse file in DIR, so its size is a real limit: a Filesystem volume is an
// ext4 or XFS in that file, a Block volume a loop device over it. Runs as root on the node.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("usage: storage local|csi [options]"))
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "file with the way to the API server")
	node := flags.String("node", "", "name of this node")
	dir := flags.String("dir", "", "where the volumes' files are")
	endpoint := flags.String("endpoint", "", "socket of the driver")
	registration := flags.String("registration", "", "socket in kubelet's plugins_registry")
	if err := flags.Parse(os.Args[2:]); err != nil {
		fail(err)
	}
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		fail(err)
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var err error
	switch os.Args[1] {
	case "local":
		err = runLocal(ctx, *kubeconfig, *node, *dir)
	case "csi":
		err = runCSI(ctx, *node, *dir, *endpoint, *registration)
	default:
		err = fmt.Errorf("no mode '%s'", os.Args[1])
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "storage:", err)
	os.Exit(1)
}
