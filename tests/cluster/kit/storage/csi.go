// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net"
	"os"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
	registerapi "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

const driverName = "csi.slipway.io"

// driver keeps nothing in memory: the files in dir are what there is.
//
//	dir/<volume>.img         the bytes of a volume; the volume's id is the name it was asked for
//	dir/<snapshot>.snap      the bytes of a snapshot
//	dir/<snapshot>.source    the id of the volume it was taken of
type driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedControllerServer
	csi.UnimplementedNodeServer
	node, dir, endpoint string
}

func runCSI(ctx context.Context, node, dir, endpoint, registration string) error {
	d := &driver{node: node, dir: dir, endpoint: endpoint}
	server := grpc.NewServer()
	csi.RegisterIdentityServer(server, d)
	csi.RegisterControllerServer(server, d)
	csi.RegisterNodeServer(server, d)
	registrar := grpc.NewServer()
	registerapi.RegisterRegistrationServer(registrar, &registrationServer{endpoint: endpoint})

	failed := make(chan error, 2)
	go serve(server, endpoint, failed)
	go serve(registrar, registration, failed)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		server.Stop()
		registrar.Stop()
		return nil
	}
}

func serve(server *grpc.Server, socket string, failed chan<- error) {
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		failed <- err
		return
	}
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		failed <- err
		return
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		failed <- err
		return
	}
	failed <- server.Serve(listener)
}

// registrationServer answers kubelet, which watches its plugins_registry for sockets: what
// node-driver-registrar does in other clusters.
type registrationServer struct {
	registerapi.UnsafeRegistrationServer
	endpoint string
}

func (r *registrationServer) GetInfo(context.Context, *registerapi.InfoRequest) (
	*registerapi.PluginInfo, error) {
	return &registerapi.PluginInfo{
		Type: registerapi.CSIPlugin, Name: driverName, Endpoint: r.endpoint,
		SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (r *registrationServer) NotifyRegistrationStatus(_ context.Context,
	s *registerapi.RegistrationStatus) (*registerapi.RegistrationStatusResponse, error) {
	if !s.PluginRegistered {
		os.Stderr.WriteString("storage: kubelet refuses the driver: " + s.Error + "\n")
	}
	return &registerapi.RegistrationStatusResponse{}, nil
}

func (d *driver) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (
	*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: driverName, VendorVersion: "1"}, nil
}

func (d *driver) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (
	*csi.GetPluginCapabilitiesResponse, error) {
	return &csi.GetPluginCapabilitiesResponse{Capabilities: []*csi.PluginCapability{{
		Type: &csi.PluginCapability_Service_{Service: &csi.PluginCapability_Service{
			Type: csi.PluginCapability_Service_CONTROLLER_SERVICE,
		}},
	}}}, nil
}

func (d *driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{Ready: wrapperspb.Bool(true)}, nil
}
