package sandbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

const (
	// storageNamespace holds the service by which pods reach the S3 server.
	storageNamespace, storageService = "storage", "s3"
	s3Endpoint                       = "http://s3.storage.svc.cluster.local:7070"
	s3PortNumber                     = 7070
	// className is the class of the volumes: directories of this machine that all
	// nodes see.
	className   = "directory"
	volumeCount = 4
)

// furnish waits for the nodes and makes what every cluster has: volumes, and an S3
// server with a name.
func (s *server) furnish(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(s.control.Config)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	if err := makeVolumes(ctx, client, filepath.Join(s.setup.Dir, "volumes")); err != nil {
		return fmt.Errorf("make the volumes: %w", err)
	}
	if err := nameS3(ctx, client); err != nil {
		return fmt.Errorf("give the S3 server a name: %w", err)
	}
	for {
		waiting, err := notReady(ctx, client, s.nodes)
		if err == nil && len(waiting) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the nodes %v: %w", waiting, ctx.Err())
		case <-time.After(poll):
		}
	}
}

// notReady lists the nodes that are not ready.
func notReady(ctx context.Context, client kubernetes.Interface, nodes []node) ([]string, error) {
	list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	ready := map[string]bool{}
	for _, n := range list.Items {
		for _, c := range n.Status.Conditions {
			ready[n.Name] = ready[n.Name] || c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		}
	}
	var waiting []string
	for _, n := range nodes {
		if !ready[n.Name] {
			waiting = append(waiting, n.Name)
		}
	}
	return waiting, nil
}

// makeVolumes makes volumes of directories that may be shared in every way. Claims
// of the class bind to them.
func makeVolumes(ctx context.Context, client kubernetes.Interface, dir string) error {
	class := &storagev1.StorageClass{
		ObjectMeta:  metav1.ObjectMeta{Name: className},
		Provisioner: "kubernetes.io/no-provisioner", ReclaimPolicy: ptr.To(corev1.PersistentVolumeReclaimRetain),
	}
	if _, err := client.StorageV1().StorageClasses().Create(ctx, class, metav1.CreateOptions{}); err != nil {
		return err
	}
	for i := range volumeCount {
		name := fmt.Sprintf("volume-%d", i+1)
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		volume := &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: corev1.PersistentVolumeSpec{
				Capacity:         corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("100Gi")},
				AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce},
				StorageClassName: className, PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
				PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path}},
			},
		}
		if _, err := client.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// nameS3 makes a Service for the S3 server, which is no pod.
func nameS3(ctx context.Context, client kubernetes.Interface) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: storageNamespace}}
	if _, err := client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return err
	}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: storageService},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "s3", Port: s3PortNumber}}},
	}
	if _, err := client.CoreV1().Services(storageNamespace).Create(ctx, service, metav1.CreateOptions{}); err != nil {
		return err
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name:   storageService + "-server",
			Labels: map[string]string{discoveryv1.LabelServiceName: storageService, discoveryv1.LabelManagedBy: "cargoship-sandbox"},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{hubAddress}}},
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("s3"), Port: ptr.To(int32(s3PortNumber))}},
	}
	_, err := client.DiscoveryV1().EndpointSlices(storageNamespace).Create(ctx, slice, metav1.CreateOptions{})
	return err
}
