// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"path/filepath"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v11/controller"
)

const (
	localName = "slipway.io/local"
	fakeName  = "slipway.io/fake"
	mib       = int64(1) << 20
)

// A thousand claims at once must not wait for this program: no limit worth the name.
const requestsPerSecond = 1000

func runLocal(ctx context.Context, kubeconfig, node, dir string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = requestsPerSecond, requestsPerSecond
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}

	done := make(chan struct{}, 2)
	for name, maker := range map[string]controller.Provisioner{
		localName: &localVolumes{node: node, dir: dir},
		fakeName:  &fakeVolumes{node: node},
	} {
		// Two at once for volumes that are made by tools: the machine has little more.
		threads := 2
		if name == fakeName {
			threads = 32
		}
		c := controller.NewProvisionController(ctx, client, name, maker,
			controller.LeaderElection(false), controller.Threadiness(threads))
		go func() {
			c.Run(ctx)
			done <- struct{}{}
		}()
	}
	<-ctx.Done()
	return nil
}

type localVolumes struct {
	node, dir string
}

func (l *localVolumes) image(name string) string { return filepath.Join(l.dir, name+".img") }
func (l *localVolumes) path(name string) string  { return filepath.Join(l.dir, name) }

func (l *localVolumes) Provision(_ context.Context, o controller.ProvisionOptions) (
	*v1.PersistentVolume, controller.ProvisioningState, error) {
	pv := volumeFor(o, l.node, l.path(o.PVName))
	size := pv.Spec.Capacity.Storage().Value()
	image := l.image(o.PVName)
	if err := grow(image, size); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	dev, err := attach(image)
	if err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	if *pv.Spec.VolumeMode == v1.PersistentVolumeBlock {
		pv.Spec.Local.Path = dev
		return pv, controller.ProvisioningFinished, nil
	}
	if err := format(dev, o.StorageClass.Parameters["fsType"]); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	if err := mount(dev, l.path(o.PVName)); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	return pv, controller.ProvisioningFinished, nil
}

func (l *localVolumes) Delete(_ context.Context, pv *v1.PersistentVolume) error {
	if err := unmount(l.path(pv.Name)); err != nil {
		return err
	}
	if err := detach(l.image(pv.Name)); err != nil {
		return err
	}
	if err := os.Remove(l.image(pv.Name)); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// SupportsBlock lets the library pass on claims of Block volumes.
func (l *localVolumes) SupportsBlock(context.Context) bool { return true }

// fakeVolumes makes volumes that bind and that no pod can mount.
type fakeVolumes struct {
	node string
}

func (f *fakeVolumes) Provision(_ context.Context, o controller.ProvisionOptions) (
	*v1.PersistentVolume, controller.ProvisioningState, error) {
	return volumeFor(o, f.node, "/nonexistent/"+o.PVName), controller.ProvisioningFinished, nil
}

// SupportsBlock lets the library pass on claims of Block volumes.
func (f *fakeVolumes) SupportsBlock(context.Context) bool { return true }

func (f *fakeVolumes) Delete(context.Context, *v1.PersistentVolume) error { return nil }

// volumeFor is a local volume of the size that the claim asks for, in whole MiB.
func volumeFor(o controller.ProvisionOptions, node, path string) *v1.PersistentVolume {
	size := o.PVC.Spec.Resources.Requests[v1.ResourceStorage]
	size.Set((size.Value() + mib - 1) / mib * mib)
	mode := v1.PersistentVolumeFilesystem
	if o.PVC.Spec.VolumeMode != nil {
		mode = *o.PVC.Spec.VolumeMode
	}
	onNode := v1.NodeSelectorRequirement{
		Key: v1.LabelHostname, Operator: v1.NodeSelectorOpIn, Values: []string{node},
	}
	return &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: o.PVName},
		Spec: v1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *o.StorageClass.ReclaimPolicy,
			AccessModes:                   o.PVC.Spec.AccessModes,
			Capacity:                      v1.ResourceList{v1.ResourceStorage: size},
			VolumeMode:                    &mode,
			MountOptions:                  o.StorageClass.MountOptions,
			PersistentVolumeSource: v1.PersistentVolumeSource{
				Local: &v1.LocalVolumeSource{Path: path},
			},
			NodeAffinity: &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{
				NodeSelectorTerms: []v1.NodeSelectorTerm{{
					MatchExpressions: []v1.NodeSelectorRequirement{onNode},
				}},
			}},
		},
	}
}
