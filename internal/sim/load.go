package sim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Load reads the scenarios of a file, or of a folder's *.yaml files in the order
// of their names. Errors name the file, the line and the field.
func Load(path string) ([]*Scenario, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("load scenarios: %w", err)
	}
	files := []string{path}
	if info.IsDir() {
		files, err = filepath.Glob(filepath.Join(path, "*.yaml"))
		if err == nil && len(files) == 0 {
			err = fmt.Errorf("%w: no *.yaml file", fs.ErrNotExist)
		}
		if err != nil {
			return nil, fmt.Errorf("load scenarios of folder %s: %w", path, err)
		}
		slices.Sort(files)
	}
	var scenarios []*Scenario
	var errs []error
	for _, file := range files {
		s, err := loadFile(file)
		scenarios = append(scenarios, s)
		errs = append(errs, err)
	}
	return scenarios, errors.Join(errs...)
}

func loadFile(file string) (*Scenario, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("load scenario: %w", err)
	}
	return Parse(file, text)
}

// Parse reads one scenario; file is what errors call it.
func Parse(file string, text []byte) (*Scenario, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, located(file, err)
	}
	s := &Scenario{}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(s); err != nil && !errors.Is(err, io.EOF) {
		return nil, located(file, err)
	}
	var second yaml.Node
	if err := decoder.Decode(&second); err == nil {
		return nil, fmt.Errorf("%s:%d: a scenario is one document, here begins a second", file, second.Line)
	}
	if s.Name == "" {
		s.Name = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	}
	c := &checker{file: file, root: &root}
	c.scenario(s)
	if err := errors.Join(c.errs...); err != nil {
		return nil, err
	}
	return s, nil
}

// located puts a decoder's error into the form FILE:LINE: TEXT.
func located(file string, err error) error {
	var typed *yaml.TypeError
	var line *lineError
	switch {
	case errors.As(err, &typed):
		errs := make([]error, len(typed.Errors))
		for i, text := range typed.Errors {
			errs[i] = errors.New(file + ":" + reworded(text))
		}
		return errors.Join(errs...)
	case errors.As(err, &line):
		return fmt.Errorf("%s:%d: %s", file, line.line, line.text)
	default:
		return errors.New(file + ":" + reworded(strings.TrimPrefix(err.Error(), "yaml: ")))
	}
}

// reworded gives a decoder's message without the names of Go types.
func reworded(text string) string {
	text = regexp.MustCompile(`^line (\d+): `).ReplaceAllString(strings.TrimSpace(text), "$1: ")
	text = regexp.MustCompile(`field (\S+) not found in type sim\.(\w+)`).ReplaceAllString(text, `unknown field "$1" of a $2`)
	return regexp.MustCompile(` into (sim\.)?\[?\]?(\w|\.)+`).ReplaceAllString(text, "")
}

// checker finds what no scenario can say, and fills in defaults.
type checker struct {
	file string
	root *yaml.Node
	errs []error
}

// place is a path of keys and indices into the file.
type place []any

func (p place) with(keys ...any) place { return append(slices.Clone(p), keys...) }

func (p place) String() string {
	var b strings.Builder
	for _, key := range p {
		switch key := key.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", key)
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			fmt.Fprint(&b, key)
		}
	}
	return b.String()
}

// find gives the node at a place, or the nearest one around it.
func (c *checker) find(p place) (n *yaml.Node, exact bool) {
	n = c.root
	if n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
		n = n.Content[0]
	}
	for _, key := range p {
		next := child(n, key)
		if next == nil {
			return n, false
		}
		n = next
	}
	return n, true
}

func child(n *yaml.Node, key any) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if i, ok := key.(int); ok {
		if n.Kind == yaml.SequenceNode && i < len(n.Content) {
			return n.Content[i]
		}
		return nil
	}
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// has tells that the file says something at the place.
func (c *checker) has(p place, key any) bool {
	_, exact := c.find(p.with(key))
	return exact
}

func (c *checker) fail(p place, format string, args ...any) {
	n, _ := c.find(p)
	line := max(n.Line, 1)
	c.errs = append(c.errs, fmt.Errorf("%s:%d: %s: %s", c.file, line, p, fmt.Sprintf(format, args...)))
}

// number is what fields are made of.
type number interface {
	~int | ~int64 | ~float64
}

// defaults sets a field that the file does not give.
func defaults[T any](c *checker, p place, key string, field *T, value T) {
	if !c.has(p, key) {
		*field = value
	}
}

// within checks a field against its bounds, NaN included.
func within[T number](c *checker, p place, key string, value, low, high T) {
	if value >= low && value <= high {
		return
	}
	c.fail(p.with(key), "must be between %v and %v", low, high)
}

// positive checks that a field is above zero.
func positive[T number](c *checker, p place, key string, value T) {
	switch {
	case value > 0:
	case !c.has(p, key):
		c.fail(p.with(key), "is missing")
	default:
		c.fail(p.with(key), "must be above 0")
	}
}

// notNegative checks that a field is not below zero.
func notNegative[T number](c *checker, p place, key string, value T) {
	if value < 0 {
		c.fail(p.with(key), "must not be negative")
	}
}
