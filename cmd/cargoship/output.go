package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"
)

// outputFormat is what a command prints for programs; empty for people.
type outputFormat string

const (
	outputJSON outputFormat = "json"
	outputYAML outputFormat = "yaml"
)

// outputFlags choose what a command prints.
type outputFlags struct {
	format outputFormat
	asJSON bool
}

// add adds -o, and --json, which is -o json.
func (o *outputFlags) add(flags *pflag.FlagSet, usage string) {
	flags.VarP(choice(&o.format, outputJSON, outputYAML), "output", "o", "print json or yaml instead of text")
	flags.BoolVar(&o.asJSON, "json", false, usage)
}

// chosen is the format that was asked for.
func (o outputFlags) chosen() outputFormat {
	if o.format == "" && o.asJSON {
		return outputJSON
	}
	return o.format
}

// forPeople tells whether no program reads the output.
func (o outputFlags) forPeople() bool { return o.chosen() == "" }

// print writes a document.
func (o outputFlags) print(w io.Writer, document any) error {
	if o.chosen() == outputJSON {
		return json.NewEncoder(w).Encode(document)
	}
	text, err := yaml.Marshal(document)
	if err != nil {
		return fmt.Errorf("print YAML: %w", err)
	}
	_, err = w.Write(text)
	return err
}

// printItem writes one of a list that is not held in memory: a line of JSON, or an item of a list in YAML.
func (o outputFlags) printItem(w io.Writer, item any) error {
	if o.chosen() == outputJSON {
		return o.print(w, item)
	}
	text, err := yaml.Marshal(item)
	if err != nil {
		return fmt.Errorf("print YAML: %w", err)
	}
	_, err = fmt.Fprintf(w, "- %s\n", bytes.ReplaceAll(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"), []byte("\n  ")))
	return err
}
