// Package schematest holds documents to their JSON schemas, in tests.
package schematest

import (
	"bytes"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Schema is one that documents are held to.
type Schema struct{ compiled *jsonschema.Schema }

// Compile reads a schema.
func Compile(tb testing.TB, text []byte) Schema {
	tb.Helper()
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", decode(tb, text)); err != nil {
		tb.Fatal(err)
	}
	compiled, err := c.Compile("schema.json")
	if err != nil {
		tb.Fatal(err)
	}
	return Schema{compiled}
}

// Validate returns an error if a document in JSON does not keep to the schema.
func (s Schema) Validate(tb testing.TB, document []byte) error {
	tb.Helper()
	return s.compiled.Validate(decode(tb, document))
}

func decode(tb testing.TB, text []byte) any {
	tb.Helper()
	decoded, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		tb.Fatal(err)
	}
	return decoded
}
