package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"cargoship.dev/operator/api/v1alpha1"
)

// withoutKinds drops the documents of some kinds from a stream of YAML documents.
func withoutKinds(stream []byte, kinds ...string) ([]byte, error) {
	var kept bytes.Buffer
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(stream)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return kept.Bytes(), nil
		}
		if err != nil {
			return nil, fmt.Errorf("read manifests: %w", err)
		}
		var meta metav1.TypeMeta
		if err := yaml.Unmarshal(document, &meta); err != nil {
			return nil, fmt.Errorf("read manifests: %w", err)
		}
		if !slices.Contains(kinds, meta.Kind) {
			kept.WriteString("---\n")
			kept.Write(document)
		}
	}
}

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
	transfer.Spec.Source.PersistentVolumeClaim.ClaimName = claimName
	transfer.Spec.Destination.Bucket = bucket
	transfer.Spec.Destination.Region = to.region
	transfer.Spec.Destination.Endpoint = to.endpoint
	transfer.Spec.Destination.AddressingStyle = v1alpha1.AddressingPath
	transfer.Spec.Destination.Credentials.Secret.Name = secretName
	return transfer, nil
}
