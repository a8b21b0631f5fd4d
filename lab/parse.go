package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Parse reads a conditions file. It knows no field but those of Plan, and its error has
// a line "NAME:LINE: FIELD: what is wrong" for each problem.
func Parse(name string, text []byte) (Plan, error) {
	var plan Plan
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&plan); err != nil && !errors.Is(err, io.EOF) {
		return Plan{}, syntaxError(name, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return Plan{}, fmt.Errorf("%s: more than one document: keep one", name)
	}
	c := check{}
	c.plan(plan)
	if len(c.problems) == 0 {
		return plan, nil
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return Plan{}, syntaxError(name, err)
	}
	var all []error
	for _, p := range c.problems {
		all = append(all, fmt.Errorf("%s:%d: %s: %s", name, line(&root, p.field), p.field, p.text))
	}
	return Plan{}, errors.Join(all...)
}

// syntaxError gives the decoder's messages, which begin with "line N: ", our form.
func syntaxError(name string, err error) error {
	texts := []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	if several := (*yaml.TypeError)(nil); errors.As(err, &several) {
		texts = several.Errors
	}
	unknown := regexp.MustCompile(`field (\S+) not found in type \S+`)
	var all []error
	for _, text := range texts {
		text = unknown.ReplaceAllString(text, "$1: no such field")
		if rest, ok := strings.CutPrefix(text, "line "); ok {
			text = rest
		}
		all = append(all, fmt.Errorf("%s:%s", name, text))
	}
	return errors.Join(all...)
}

// line finds where a field such as partitions[1].burst stands, or the nearest
// thing around it that is written down.
func line(node *yaml.Node, field string) int {
	if node.Kind == yaml.DocumentNode && len(node.Content) > 0 {
		node = node.Content[0]
	}
	for _, step := range strings.FieldsFunc(field, func(r rune) bool { return strings.ContainsRune(".[]", r) }) {
		next := child(node, step)
		if next == nil {
			break
		}
		node = next
	}
	return node.Line
}

func child(node *yaml.Node, step string) *yaml.Node {
	switch node.Kind {
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i < len(node.Content) {
			return node.Content[i]
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == step {
				return node.Content[i+1]
			}
		}
	}
	return nil
}

// check gathers what is wrong with a plan.
type check struct{ problems []problem }

type problem struct{ field, text string }

func (c *check) that(ok bool, field, text string) {
	if !ok {
		c.problems = append(c.problems, problem{field, text})
	}
}

func (c *check) plan(p Plan) {
	c.conditions("", p.Conditions)
	last := time.Duration(0)
	for i, s := range p.Schedule {
		at := fmt.Sprintf("schedule[%d].", i)
		c.that(s.At >= last, at+"at", "must not be before the step above, nor below 0")
		last = max(last, s.At)
		c.conditions(at, s.Conditions)
	}
}

func (c *check) conditions(at string, v Conditions) {
	for i, p := range v.Partitions {
		field := fmt.Sprintf("%spartitions[%d].", at, i)
		c.that(p.RequestsPerSecond > 0, field+"requestsPerSecond", "must be above 0")
		c.that(p.Burst >= 0, field+"burst", "must not be below 0")
	}
	if s := v.ServiceTime; s != nil {
		c.that(s.Median >= 0, at+"serviceTime.median", "must not be below 0")
		c.that(s.P99 == 0 || s.P99 > s.Median && s.Median > 0, at+"serviceTime.p99", "must be above a median above 0, or absent")
	}
	if b := v.Bandwidth; b != nil {
		c.that(b.SharedMegabits >= 0, at+"bandwidth.sharedMegabits", "must not be below 0")
		c.that(b.ConnectionMegabits >= 0, at+"bandwidth.connectionMegabits", "must not be below 0")
	}
	for i, f := range v.Faults {
		c.fault(fmt.Sprintf("%sfaults[%d].", at, i), f)
	}
	for i, f := range v.Without {
		c.that(slices.Contains(features(), f), fmt.Sprintf("%swithout[%d]", at, i), fmt.Sprintf("%q is none of %v", f, features()))
	}
	blackouts := []Blackout{"", NoBlackout, Reset, Silent}
	c.that(slices.Contains(blackouts, v.Blackout), at+"blackout", fmt.Sprintf("%q is none of %v", v.Blackout, blackouts[1:]))
}

func (c *check) fault(at string, f Fault) {
	c.that(slices.Contains(faultKinds(), f.Kind), at+"kind", fmt.Sprintf("%q is none of %v", f.Kind, faultKinds()))
	c.that(f.Share >= 0 && f.Share <= 1, at+"share", "must be from 0 to 1")
	c.that(f.Most >= 0, at+"most", "must not be below 0")
	c.that(f.Skip >= 0, at+"skip", "must not be below 0")
	c.that(f.Duration >= 0, at+"duration", "must not be below 0")
	for i, o := range f.Operations {
		c.that(slices.Contains(operations(), o), fmt.Sprintf("%soperations[%d]", at, i), fmt.Sprintf("%q is none of %v", o, operations()))
	}
}
