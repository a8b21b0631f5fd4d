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
	"cargoship.dev/operator/test/kit"
)

// Names of what Furnish makes in a namespace.
const (
	ClaimName  = "data"
	SecretName = "archive-credentials"
)

// TargetName is the claim that FurnishTarget makes.
const TargetName = "restored"

// Site is a cluster that runs CargoShip, and an S3 server that its workers reach.
type Site struct {
	// Client has the administrator's rights.
	Client client.Client
	// Store is the S3 server.
	Store kit.S3Access
}

// Furnish makes what a transfer refers to: a bucket, a namespace, and in it a claim
// on a volume that is the directory, and a Secret with credentials.
func (s Site) Furnish(ctx context.Context, namespace, dir, bucket string) error {
	store, err := s.Store.Client()
	if err != nil {
		return err
	}
	if err := store.MakeBucket(ctx, bucket, minio.MakeBucketOptions{Region: s.Store.Region}); err != nil {
		return fmt.Errorf("make the bucket %s: %w", bucket, err)
	}
	return s.FurnishNamespace(ctx, namespace, dir)
}

// FurnishNamespace is Furnish without a bucket.
func (s Site) FurnishNamespace(ctx context.Context, namespace, dir string) error {
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: SecretName},
			StringData: map[string]string{
				v1alpha1.SecretKeyAccessKeyID:     s.Store.AccessKey,
				v1alpha1.SecretKeySecretAccessKey: s.Store.SecretKey,
			},
		},
	}
	return s.create(ctx, append(objects, volume(namespace, ClaimName, dir, corev1.ReadOnlyMany)...)...)
}

// FurnishTarget makes a claim on a volume that is the directory, for a restore.
func (s Site) FurnishTarget(ctx context.Context, namespace, dir string) error {
	return s.create(ctx, volume(namespace, TargetName, dir, corev1.ReadWriteMany)...)
}

// FurnishPopulated makes a claim whose data come from a restore, and a volume that is the directory
// for what the restore makes of it. There is no provisioner here, so the volume is meant for the claim that the
// restore writes into from the beginning.
func (s Site) FurnishPopulated(ctx context.Context, namespace, name, restore, dir string) error {
	objects := volume(namespace, name, dir, corev1.ReadWriteMany)
	pv, claim := objects[0].(*corev1.PersistentVolume), objects[1].(*corev1.PersistentVolumeClaim) //nolint:forcetypeassert // volume has made them.
	pv.Spec.ClaimRef.Name = restore + "-prime"
	claim.Spec.VolumeName = ""
	group := v1alpha1.GroupVersion.Group
	claim.Spec.DataSourceRef = &corev1.TypedObjectReference{APIGroup: &group, Kind: "ArchiveRestore", Name: restore}
	return s.create(ctx, objects...)
}

func (s Site) create(ctx context.Context, objects ...client.Object) error {
	for _, object := range objects {
		if err := s.Client.Create(ctx, object); err != nil {
			return fmt.Errorf("create the %T %s: %w", object, object.GetName(), err)
		}
	}
	return nil
}

// volume is a volume that is a directory, and a claim on it.
func volume(namespace, name, dir string, mode corev1.PersistentVolumeAccessMode) []client.Object {
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Ti")}
	modes, noClass := []corev1.PersistentVolumeAccessMode{mode}, ""
	return []client.Object{
		&corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: namespace + "-" + name},
			Spec: corev1.PersistentVolumeSpec{
				Capacity: size, AccessModes: modes,
				ClaimRef:               &corev1.ObjectReference{Namespace: namespace, Name: name},
				PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: dir}},
			},
		},
		&corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec: corev1.PersistentVolumeClaimSpec{
				StorageClassName: &noClass, VolumeName: namespace + "-" + name, AccessModes: modes,
				Resources: corev1.VolumeResourceRequirements{Requests: size},
			},
		},
	}
}

// Restore is a restore of a transfer into the claim that FurnishTarget makes.
func (s Site) Restore(namespace, name, transfer string) *v1alpha1.ArchiveRestore {
	return &v1alpha1.ArchiveRestore{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.ArchiveRestoreSpec{
			From: v1alpha1.RestoreSource{TransferRef: &v1alpha1.TransferReference{Name: transfer}},
			To:   v1alpha1.RestoreTarget{PersistentVolumeClaim: v1alpha1.ClaimSource{ClaimName: TargetName}},
		},
	}
}

// Transfer is a transfer of the claim that Furnish makes into the bucket.
func (s Site) Transfer(namespace, name string, to Location) *v1alpha1.ArchiveTransfer {
	return &v1alpha1.ArchiveTransfer{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.ArchiveTransferSpec{
			Source: v1alpha1.Source{PersistentVolumeClaim: &v1alpha1.ClaimSource{ClaimName: ClaimName}},
			Destination: v1alpha1.Destination{Location: v1alpha1.Location{
				Bucket: to.Bucket, Prefix: to.Prefix, Region: s.Store.Region, Endpoint: s.Store.Endpoint,
				AddressingStyle: v1alpha1.AddressingPath,
				Credentials:     v1alpha1.Credentials{SecretName: SecretName},
			}},
		},
	}
}
