package main

import (
	"fmt"
	"os"

	"sigs.k8s.io/yaml"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/test/kit/product"
)

// target is where the sample's data shall go here.
type target struct{ region, endpoint string }

// sampleTransfer reads the sample and points it at this machine.
func sampleTransfer(path string, to target) (*v1alpha1.ArchiveTransfer, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the sample: %w", err)
	}
	transfer := &v1alpha1.ArchiveTransfer{}
	if err := yaml.UnmarshalStrict(text, transfer); err != nil {
		return nil, fmt.Errorf("read the sample %s: %w", path, err)
	}
	transfer.Namespace = namespace
	transfer.Spec.Source.PersistentVolumeClaim.ClaimName = product.ClaimName
	transfer.Spec.Destination.Bucket = bucket
	transfer.Spec.Destination.Region = to.region
	transfer.Spec.Destination.Endpoint = to.endpoint
	transfer.Spec.Destination.AddressingStyle = v1alpha1.AddressingPath
	transfer.Spec.Destination.Credentials.SecretName = product.SecretName
	return transfer, nil
}

// sampleRestore reads the sample and has it restore a transfer of this machine.
func sampleRestore(path, transfer string) (*v1alpha1.ArchiveRestore, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the sample: %w", err)
	}
	restore := &v1alpha1.ArchiveRestore{}
	if err := yaml.UnmarshalStrict(text, restore); err != nil {
		return nil, fmt.Errorf("read the sample %s: %w", path, err)
	}
	restore.Namespace = namespace
	restore.Spec.From.TransferRef.Name = transfer
	restore.Spec.To.PersistentVolumeClaim.ClaimName = product.TargetName
	return restore, nil
}
