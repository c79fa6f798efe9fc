// Command csi-controller is the CSI driver's controller with provisioner and
// resizer. It is a program of its own because external-resizer and Kubernetes
// both register feature gates of the same names, which ends a program that
// holds both.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/kubernetes-csi/csi-lib-utils/metrics"
	resizecontroller "github.com/kubernetes-csi/external-resizer/v2/pkg/controller"
	resizecsi "github.com/kubernetes-csi/external-resizer/v2/pkg/csi"
	"github.com/kubernetes-csi/external-resizer/v2/pkg/resizer"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"

	"github.com/castellan-dev/castellan/hack/localcluster/components/csi"
)

func main() {
	if err := csi.Run(os.Args[1:], run); err != nil {
		fmt.Fprintln(os.Stderr, "csi-controller:", err)
		os.Exit(1)
	}
}

// run returns when the provisioner or the resizer ends.
func run(ctx context.Context, d csi.Driver) error {
	cfg, err := clientcmd.BuildConfigFromFlags("", d.Kubeconfig)
	if err != nil {
		return err
	}
	cfg.QPS, cfg.Burst, cfg.UserAgent = 50, 100, "csi-controller"
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	ended := make(chan error, 2)
	go func() {
		controller.NewProvisionController(ctx, client, csi.DriverName, &provisioner{d.Volumes, client},
			controller.LeaderElection(false)).Run(ctx)
		ended <- errors.New("the provisioner ended")
	}()
	go func() { ended <- runResizer(ctx, d.Endpoint, client) }()
	return <-ended
}

// provisioner makes PersistentVolumes for claims. It calls the driver in the
// same process: external-provisioner is built on the same library.
type provisioner struct {
	volumes csi.Volumes
	client  kubernetes.Interface
}

func (p *provisioner) Provision(ctx context.Context, o controller.ProvisionOptions) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	request := o.PVC.Spec.Resources.Requests[corev1.ResourceStorage]
	sized := o.StorageClass.Parameters[csi.SizedParameter] == "true"
	size, err := p.volumes.Create(o.PVName, request.Value(), sized)
	if err == nil {
		err = p.bound(o)
	}
	if err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	affinity, err := p.affinity(ctx, o)
	if err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: o.PVName},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *o.StorageClass.ReclaimPolicy,
			AccessModes:                   o.PVC.Spec.AccessModes,
			MountOptions:                  o.StorageClass.MountOptions,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: *resource.NewQuantity(size, resource.BinarySI)},
			NodeAffinity:                  affinity,
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
				Driver: csi.DriverName, VolumeHandle: o.PVName,
				FSType: "xfs", // the kubelet applies a pod's fsGroup only to volumes that tell a file system
			}},
		},
	}, controller.ProvisioningFinished, nil
}

// bound notes how far the class lets the volume grow.
func (p *provisioner) bound(o controller.ProvisionOptions) error {
	told := o.StorageClass.Parameters[csi.LargestParameter]
	if told == "" {
		return nil
	}
	largest, err := resource.ParseQuantity(told)
	if err != nil {
		return fmt.Errorf("parameter %s of StorageClass %s: %w", csi.LargestParameter, o.StorageClass.Name, err)
	}
	return p.volumes.Bound(o.PVName, largest.Value())
}

// affinity ties a volume to the zone of the node that the scheduler chose,
// like a cloud's disk, or, with the class parameter "bind: node", to the node.
func (p *provisioner) affinity(ctx context.Context, o controller.ProvisionOptions) (*corev1.VolumeNodeAffinity, error) {
	if o.SelectedNodeName == "" {
		return nil, nil
	}
	node, err := p.client.CoreV1().Nodes().Get(ctx, o.SelectedNodeName, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	key := corev1.LabelTopologyZone
	if o.StorageClass.Parameters["bind"] == "node" || node.Labels[key] == "" {
		key = corev1.LabelHostname
	}
	term := corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{
		Key: key, Operator: corev1.NodeSelectorOpIn, Values: []string{node.Labels[key]},
	}}}
	return &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{term}}}, nil
}

func (p *provisioner) Delete(_ context.Context, pv *corev1.PersistentVolume) error {
	return p.volumes.Remove(pv.Spec.CSI.VolumeHandle)
}

// runResizer is external-resizer's controller. Its client speaks to the
// driver's socket and ends the process when the socket goes away; here both
// are one process, so that they come and go together.
func runResizer(ctx context.Context, socket string, client kubernetes.Interface) error {
	const timeout, resync, maxRetry = 10 * time.Second, 10 * time.Minute, 10 * time.Second
	conn, err := resizecsi.New(ctx, socket, timeout, metrics.NewCSIMetricsManager(csi.DriverName))
	if err != nil {
		return fmt.Errorf("resizer: %w", err)
	}
	r, err := resizer.NewResizerFromClient(conn, timeout, client, csi.DriverName)
	if err != nil {
		return fmt.Errorf("resizer: %w", err)
	}
	factory := informers.NewSharedInformerFactory(client, resync)
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[string](200*time.Millisecond, maxRetry)
	c := resizecontroller.NewResizeController(csi.DriverName, r, client, resync, factory, limiter, false, maxRetry)
	factory.Start(ctx.Done())
	c.Run(2, ctx, nil)
	return ctx.Err()
}
