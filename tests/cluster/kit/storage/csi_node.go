// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os/exec"

	"github.com/container-storage-interface/spec/lib/go/csi"
)

func (d *driver) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: d.node}, nil
}

func (d *driver) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (
	*csi.NodeGetCapabilitiesResponse, error) {
	r := &csi.NodeGetCapabilitiesResponse{}
	for _, c := range []csi.NodeServiceCapability_RPC_Type{
		csi.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME,
		csi.NodeServiceCapability_RPC_EXPAND_VOLUME,
	} {
		r.Capabilities = append(r.Capabilities, &csi.NodeServiceCapability{
			Type: &csi.NodeServiceCapability_Rpc{Rpc: &csi.NodeServiceCapability_RPC{Type: c}},
		})
	}
	return r, nil
}

// NodeStageVolume attaches the volume and, for a file system, mounts it where all pods of the
// node share it. A copy of a smaller volume has a file system that does not fill it yet.
func (d *driver) NodeStageVolume(_ context.Context, r *csi.NodeStageVolumeRequest) (
	*csi.NodeStageVolumeResponse, error) {
	image, err := d.file(r.VolumeId, ".img")
	if err != nil {
		return nil, err
	}
	dev, err := attach(image)
	if err != nil {
		return nil, internal(err)
	}
	if fs := r.GetVolumeCapability().GetMount(); fs != nil {
		if err := format(dev, fs.FsType); err != nil {
			return nil, internal(err)
		}
		if err := fillOffline(dev); err != nil {
			return nil, internal(err)
		}
		if err := mount(dev, r.StagingTargetPath); err != nil {
			return nil, internal(err)
		}
		if err := fill(dev, r.StagingTargetPath); err != nil {
			return nil, internal(err)
		}
	}
	return &csi.NodeStageVolumeResponse{}, nil
}

// fillOffline lets an ext4 use all of its device before it is mounted: the kernel lets nobody
// without CAP_SYS_RESOURCE do that later. A check has to come before the change.
func fillOffline(dev string) error {
	kind, err := run("blkid", "--probe", "--output", "value", "--match-tag", "TYPE", dev)
	if err != nil || kind != "ext4" || isMounted(dev) {
		return err
	}
	if _, err := run("resize2fs", dev); err == nil {
		return nil
	}
	// Status 1: something was put right, the journal of a mounted original for instance.
	var status *exec.ExitError
	if _, err := run("e2fsck", "-f", "-p", dev); err != nil &&
		!(errors.As(err, &status) && status.ExitCode() == 1) {
		return err
	}
	_, err = run("resize2fs", dev)
	return err
}

// isMounted tells whether the device is mounted anywhere.
func isMounted(dev string) bool {
	target, err := run("findmnt", "--noheadings", "--source", dev)
	return err == nil && target != ""
}

// fill lets the mounted file system use all of its device. An XFS grows only so; there is nothing
// left to do for an ext4 that fillOffline has seen.
func fill(dev, target string) error {
	kind, err := run("findmnt", "--noheadings", "--first-only", "--output", "FSTYPE", "--mountpoint", target)
	if err != nil {
		return err
	}
	if kind == "xfs" {
		_, err = run("xfs_growfs", target)
	} else {
		_, err = run("resize2fs", dev)
	}
	return err
}

func (d *driver) NodeUnstageVolume(_ context.Context, r *csi.NodeUnstageVolumeRequest) (
	*csi.NodeUnstageVolumeResponse, error) {
	image, err := d.file(r.VolumeId, ".img")
	if err != nil {
		return nil, err
	}
	if mounted(r.StagingTargetPath) {
		if _, err := run("umount", r.StagingTargetPath); err != nil {
			return nil, internal(err)
		}
	}
	return &csi.NodeUnstageVolumeResponse{}, internal(detach(image))
}

func (d *driver) NodePublishVolume(_ context.Context, r *csi.NodePublishVolumeRequest) (
	*csi.NodePublishVolumeResponse, error) {
	image, err := d.file(r.VolumeId, ".img")
	if err != nil {
		return nil, err
	}
	if r.GetVolumeCapability().GetBlock() != nil {
		dev, err := attach(image)
		if err != nil {
			return nil, internal(err)
		}
		return &csi.NodePublishVolumeResponse{}, internal(bindDevice(dev, r.TargetPath))
	}
	options := []string{"--bind"}
	if r.Readonly {
		options = []string{"--bind", "--options", "ro"}
	}
	return &csi.NodePublishVolumeResponse{}, internal(mount(r.StagingTargetPath, r.TargetPath, options...))
}

func (d *driver) NodeUnpublishVolume(_ context.Context, r *csi.NodeUnpublishVolumeRequest) (
	*csi.NodeUnpublishVolumeResponse, error) {
	return &csi.NodeUnpublishVolumeResponse{}, internal(unmount(r.TargetPath))
}

func (d *driver) NodeExpandVolume(_ context.Context, r *csi.NodeExpandVolumeRequest) (
	*csi.NodeExpandVolumeResponse, error) {
	image, err := d.file(r.VolumeId, ".img")
	if err != nil {
		return nil, err
	}
	dev, err := attach(image)
	if err != nil {
		return nil, internal(err)
	}
	if _, err := run("losetup", "--set-capacity", dev); err != nil {
		return nil, internal(err)
	}
	if r.GetVolumeCapability().GetBlock() == nil && r.StagingTargetPath != "" {
		if err := fill(dev, r.StagingTargetPath); err != nil {
			return nil, internal(err)
		}
	}
	return &csi.NodeExpandVolumeResponse{}, nil
}
