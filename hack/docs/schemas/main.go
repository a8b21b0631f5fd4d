// Command schemas writes the schemas of the CRDs as JSON schemas, each in a file of its own, for
// editors and linters: `schemas DIR-OF-CRDS DIR`.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: schemas DIR-OF-CRDS DIR")
	}
	files, err := filepath.Glob(filepath.Join(args[0], "*.yaml"))
	if err != nil || len(files) == 0 {
		return errors.Join(fmt.Errorf("there is no CRD in %s", args[0]), err)
	}
	if err := os.MkdirAll(args[1], 0o755); err != nil { //nolint:gosec // Everybody may read it.
		return err
	}
	for _, file := range files {
		if err := write(file, args[1]); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// write writes the schema of each version of a CRD.
func write(file, dir string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var crd apiextensions.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &crd); err != nil {
		return err
	}
	for _, v := range crd.Spec.Versions {
		schema, err := document(crd.Spec.Group, crd.Spec.Names.Kind, v)
		if err != nil {
			return err
		}
		name := filepath.Join(dir, fileName(crd.Spec.Group, crd.Spec.Names.Kind, v.Name))
		if err := os.WriteFile(name, append(schema, '\n'), 0o644); err != nil { //nolint:gosec // Everybody may read it.
			return err
		}
	}
	return nil
}

// fileName is the name that kubeconform and editors look for: the kind, the first part of the
// group, and the version.
func fileName(group, kind, version string) string {
	first, _, _ := strings.Cut(group, ".")
	return strings.ToLower(kind+"-"+first+"-"+version) + ".json"
}

// document is the JSON schema of one version of a kind.
func document(group, kind string, v apiextensions.CustomResourceDefinitionVersion) ([]byte, error) {
	text, err := json.Marshal(v.Schema.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	schema := map[string]any{}
	if err := json.Unmarshal(text, &schema); err != nil {
		return nil, err
	}
	plain(schema)
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = kind
	properties, _ := schema["properties"].(map[string]any)
	properties["apiVersion"] = map[string]any{"const": group + "/" + v.Name}
	properties["kind"] = map[string]any{"const": kind}
	properties["metadata"] = map[string]any{"type": "object"}
	schema["required"] = []string{"apiVersion", "kind", "metadata", "spec"}
	return json.MarshalIndent(schema, "", "  ")
}

// plain makes a schema of Kubernetes one of JSON: unknown fields are errors, as with kubectl, a value
// that is a number or a string may be either, and what only an API server checks is left out.
func plain(schema map[string]any) {
	either := schema["x-kubernetes-int-or-string"] == true
	preserves := schema["x-kubernetes-preserve-unknown-fields"] == true
	for key := range schema {
		if strings.HasPrefix(key, "x-kubernetes-") {
			delete(schema, key)
		}
	}
	if either {
		delete(schema, "anyOf")
		schema["type"] = []string{"integer", "number", "string"}
	}
	if schema["nullable"] == true {
		delete(schema, "nullable")
		schema["type"] = []any{schema["type"], "null"}
	}
	if properties, ok := schema["properties"].(map[string]any); ok {
		if _, said := schema["additionalProperties"]; !said && !preserves {
			schema["additionalProperties"] = false
		}
		for _, p := range properties {
			plain(p.(map[string]any)) //nolint:forcetypeassert // A property is a schema.
		}
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if inner, ok := schema[key].(map[string]any); ok {
			plain(inner)
		}
	}
}
