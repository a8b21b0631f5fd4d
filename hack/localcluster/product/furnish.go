package product

import (
	"context"
	"fmt"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
)

// Names of what Furnish makes in a namespace.
const (
	ClaimName  = "data"
	SecretName = "archive-credentials"
)

// Furnish makes what a transfer refers to: a bucket, a namespace, and in it a claim
// on a volume that is the directory, and a Secret with credentials.
func (p *Product) Furnish(ctx context.Context, namespace, dir, bucket string) error {
	store, err := p.S3.Client()
	if err != nil {
		return err
	}
	if err := store.MakeBucket(ctx, bucket, minio.MakeBucketOptions{Region: p.S3.Region}); err != nil {
		return fmt.Errorf("make the bucket %s: %w", bucket, err)
	}
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Ti")}
	modes := []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany}
	noClass := ""
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: namespace + "-" + ClaimName},
			Spec: corev1.PersistentVolumeSpec{
				Capacity: size, AccessModes: modes,
				ClaimRef:               &corev1.ObjectReference{Namespace: namespace, Name: ClaimName},
				PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: dir}},
			},
		},
		&corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: ClaimName},
			Spec: corev1.PersistentVolumeClaimSpec{
				StorageClassName: &noClass, VolumeName: namespace + "-" + ClaimName, AccessModes: modes,
				Resources: corev1.VolumeResourceRequirements{Requests: size},
			},
		},
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: SecretName},
			StringData: map[string]string{
				v1alpha1.SecretKeyAccessKeyID:     p.S3.AccessKey,
				v1alpha1.SecretKeySecretAccessKey: p.S3.SecretKey,
			},
		},
	}
	for _, object := range objects {
		if err := p.Client.Create(ctx, object); err != nil {
			return fmt.Errorf("create the %T %s: %w", object, object.GetName(), err)
		}
	}
	return nil
}

// Transfer is a transfer of the claim that Furnish makes into the bucket.
func (p *Product) Transfer(namespace, name string, to Location) *v1alpha1.ArchiveTransfer {
	return &v1alpha1.ArchiveTransfer{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.ArchiveTransferSpec{
			Source: v1alpha1.Source{PersistentVolumeClaim: &v1alpha1.ClaimSource{ClaimName: ClaimName}},
			Destination: v1alpha1.Destination{
				Bucket: to.Bucket, Prefix: to.Prefix, Region: p.S3.Region, Endpoint: p.S3.Endpoint,
				AddressingStyle: v1alpha1.AddressingPath,
				Credentials:     v1alpha1.Credentials{Secret: &v1alpha1.SecretCredentials{Name: SecretName}},
			},
		},
	}
}
