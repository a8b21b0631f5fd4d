package product

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
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
