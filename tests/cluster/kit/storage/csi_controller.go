// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const defaultSize = int64(1) << 30

// Names become file names.
var goodName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

func (d *driver) file(id, suffix string) (string, error) {
	if !goodName.MatchString(id) {
		return "", status.Errorf(codes.InvalidArgument, "'%s' is no name of a volume", id)
	}
	return filepath.Join(d.dir, id+suffix), nil
}

func internal(err error) error {
	if err == nil {
		return nil
	}
	return status.Error(codes.Internal, err.Error())
}

func (d *driver) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (
	*csi.ControllerGetCapabilitiesResponse, error) {
	r := &csi.ControllerGetCapabilitiesResponse{}
	for _, c := range []csi.ControllerServiceCapability_RPC_Type{
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME,
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT,
		csi.ControllerServiceCapability_RPC_CLONE_VOLUME,
		csi.ControllerServiceCapability_RPC_EXPAND_VOLUME,
	} {
		r.Capabilities = append(r.Capabilities, &csi.ControllerServiceCapability{
			Type: &csi.ControllerServiceCapability_Rpc{
				Rpc: &csi.ControllerServiceCapability_RPC{Type: c},
			},
		})
	}
	return r, nil
}

func (d *driver) CreateVolume(_ context.Context, r *csi.CreateVolumeRequest) (
	*csi.CreateVolumeResponse, error) {
	image, err := d.file(r.Name, ".img")
	if err != nil {
		return nil, err
	}
	size := r.GetCapacityRange().GetRequiredBytes()
	if size == 0 {
		size = defaultSize
	}
	size = (size + mib - 1) / mib * mib

	source, err := d.sourceOf(r.VolumeContentSource)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(image); err == nil {
		if info.Size() < size {
			return nil, status.Errorf(codes.AlreadyExists, "'%s' is smaller", r.Name)
		}
		size = info.Size()
	} else if source != "" {
		if err := d.copyOf(source, image, size); err != nil {
			return nil, err
		}
	}
	if err := grow(image, size); err != nil {
		return nil, internal(err)
	}
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{
		VolumeId: r.Name, CapacityBytes: size, ContentSource: r.VolumeContentSource,
	}}, nil
}

// sourceOf is the file whose bytes a new volume begins with; "" for an empty one.
func (d *driver) sourceOf(content *csi.VolumeContentSource) (string, error) {
	switch {
	case content.GetSnapshot() != nil:
		return d.file(content.GetSnapshot().SnapshotId, ".snap")
	case content.GetVolume() != nil:
		return d.file(content.GetVolume().VolumeId, ".img")
	}
	return "", nil
}

func (d *driver) copyOf(source, image string, size int64) error {
	info, err := os.Stat(source)
	if err != nil {
		return status.Error(codes.NotFound, err.Error())
	}
	if info.Size() > size {
		return status.Errorf(codes.OutOfRange, "the source has %d bytes, more than %d", info.Size(), size)
	}
	return internal(d.frozenCopy(source, image))
}

// frozenCopy copies what a crash at this moment would leave: a mounted file system holds still.
func (d *driver) frozenCopy(from, to string) error {
	dev, err := loopOf(from)
	if err != nil {
		return err
	}
	if dev != "" {
		if target, _ := run("findmnt", "--noheadings", "--first-only", "--output", "TARGET", "--source", dev); target != "" {
			if _, err := run("fsfreeze", "--freeze", target); err != nil {
				return err
			}
			defer run("fsfreeze", "--unfreeze", target)
		} else if _, err := run("blockdev", "--flushbufs", dev); err != nil {
			return err
		}
	}
	return copyImage(from, to)
}

func (d *driver) DeleteVolume(_ context.Context, r *csi.DeleteVolumeRequest) (
	*csi.DeleteVolumeResponse, error) {
	image, err := d.file(r.VolumeId, ".img")
	if err != nil {
		return nil, err
	}
	if dev, err := loopOf(image); err != nil {
		return nil, internal(err)
	} else if dev != "" {
		return nil, status.Errorf(codes.FailedPrecondition, "'%s' is in use as %s", r.VolumeId, dev)
	}
	if err := os.Remove(image); err != nil && !os.IsNotExist(err) {
		return nil, internal(err)
	}
	return &csi.DeleteVolumeResponse{}, nil
}

func (d *driver) ValidateVolumeCapabilities(_ context.Context,
	r *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	return &csi.ValidateVolumeCapabilitiesResponse{
		Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{
			VolumeCapabilities: r.VolumeCapabilities,
		},
	}, nil
}

func (d *driver) CreateSnapshot(_ context.Context, r *csi.CreateSnapshotRequest) (
	*csi.CreateSnapshotResponse, error) {
	snap, err := d.file(r.Name, ".snap")
	if err != nil {
		return nil, err
	}
	image, err := d.file(r.SourceVolumeId, ".img")
	if err != nil {
		return nil, err
	}
	source := strings.TrimSuffix(snap, ".snap") + ".source"
	if of, err := os.ReadFile(source); err == nil && string(of) != r.SourceVolumeId {
		return nil, status.Errorf(codes.AlreadyExists, "'%s' is a snapshot of '%s'", r.Name, of)
	}
	if _, err := os.Stat(snap); err != nil {
		if _, err := os.Stat(image); err != nil {
			return nil, status.Error(codes.NotFound, err.Error())
		}
		if err := os.WriteFile(source, []byte(r.SourceVolumeId), 0o600); err != nil {
			return nil, internal(err)
		}
		if err := d.frozenCopy(image, snap); err != nil {
			return nil, internal(err)
		}
	}
	info, err := os.Stat(snap)
	if err != nil {
		return nil, internal(err)
	}
	return &csi.CreateSnapshotResponse{Snapshot: &csi.Snapshot{
		SnapshotId: r.Name, SourceVolumeId: r.SourceVolumeId, SizeBytes: info.Size(),
		CreationTime: timestamppb.New(info.ModTime()), ReadyToUse: true,
	}}, nil
}

func (d *driver) DeleteSnapshot(_ context.Context, r *csi.DeleteSnapshotRequest) (
	*csi.DeleteSnapshotResponse, error) {
	for _, suffix := range []string{".snap", ".source"} {
		path, err := d.file(r.SnapshotId, suffix)
		if err != nil {
			return nil, err
		}
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return nil, internal(err)
		}
	}
	return &csi.DeleteSnapshotResponse{}, nil
}

func (d *driver) ControllerExpandVolume(_ context.Context, r *csi.ControllerExpandVolumeRequest) (
	*csi.ControllerExpandVolumeResponse, error) {
	image, err := d.file(r.VolumeId, ".img")
	if err != nil {
		return nil, err
	}
	size := (r.GetCapacityRange().GetRequiredBytes() + mib - 1) / mib * mib
	if err := grow(image, size); err != nil {
		return nil, internal(err)
	}
	return &csi.ControllerExpandVolumeResponse{CapacityBytes: size, NodeExpansionRequired: true}, nil
}
