package v1alpha1_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// policy is one with a spec in YAML.
func policy(spec string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	Expect(yaml.Unmarshal([]byte(`
apiVersion: transfer.cargoship.dev/v1alpha1
kind: CoordinationPolicy
metadata: {generateName: p-}
spec: `+spec), &u.Object)).To(Succeed())
	return u
}

var _ = Describe("CoordinationPolicy", func() {
	for name, spec := range map[string]string{
		"everything": `{match: {endpoint: "https://s3.example.com:9000", bucket: archive}, limits: [
			{name: office, bytesPerSecond: 10M, requestsPerSecond: 100, requestsInFlight: 20,
			 schedule: {days: [Monday, Friday], from: "08:00", to: "18:00", timeZone: Europe/Berlin}},
			{name: always, bytesPerSecond: 100Mi}]}`,
		"a limit of zero":            `{limits: [{name: stop, bytesPerSecond: 0}]}`,
		"a number of bytes":          `{limits: [{name: slow, bytesPerSecond: 1000000}]}`,
		"a night":                    `{limits: [{name: night, requestsPerSecond: 5, schedule: {from: "22:00", to: "06:00"}}]}`,
		"a whole day":                `{limits: [{name: day, requestsPerSecond: 5, schedule: {from: "00:00", to: "24:00"}}]}`,
		"a zone that nobody knows":   `{limits: [{name: day, requestsPerSecond: 5, schedule: {from: "00:00", to: "24:00", timeZone: Europe/Atlantis}}]}`,
		"a policy that only matches": `{match: {bucket: archive}}`,
		"a quota key alone":          `{quotaKey: office-link}`,
		"shares of namespaces":       `{namespaces: [{name: team-a, weight: 3}, {name: team-b, maxSharePercent: 10}, {name: guests, access: Denied}]}`,
		"parameters of the law":      `{coordination: {updateInterval: 1s, leaseDuration: 30s, congestionSensitivityPercent: 0}}`,
	} {
		It("may have "+name, func(ctx SpecContext) {
			Expect(api.Create(ctx, policy(spec))).To(Succeed())
		})
	}
	for name, c := range map[string]struct{ spec, message string }{
		"nothing at all":         {`{}`, "should have at least 1 properties"},
		"a match of nothing":     {`{match: {}}`, "should have at least 1 properties"},
		"a limit of nothing":     {`{limits: [{name: none}]}`, "must limit something"},
		"a limit without a name": {`{limits: [{requestsPerSecond: 5}]}`, "name"},
		"a name twice":           {`{limits: [{name: a, requestsPerSecond: 5}, {name: a, requestsPerSecond: 6}]}`, "Duplicate value"},
		"a name in capitals":     {`{limits: [{name: Office, requestsPerSecond: 5}]}`, "must be lower-case letters"},
		"less than nothing":      {`{limits: [{name: a, requestsPerSecond: -1}]}`, "greater than or equal to 0"},
		"negative bytes":         {`{limits: [{name: a, bytesPerSecond: -1}]}`, "between 0 and 1P"},
		"part of a byte":         {`{limits: [{name: a, bytesPerSecond: 100m}]}`, "whole number"},
		"no number":              {`{limits: [{name: a, bytesPerSecond: fast}]}`, "bytesPerSecond"},
		"more than any link":     {`{limits: [{name: a, bytesPerSecond: 2P}]}`, "between 0 and 1P"},
		"an hour too many":       {`{limits: [{name: a, requestsPerSecond: 5, schedule: {from: "24:00", to: "06:00"}}]}`, "from 00:00 to 23:59"},
		"an end out of the day":  {`{limits: [{name: a, requestsPerSecond: 5, schedule: {from: "08:00", to: "24:01"}}]}`, "from 00:00 to 24:00"},
		"a day of no week":       {`{limits: [{name: a, requestsPerSecond: 5, schedule: {days: [Someday], from: "08:00", to: "18:00"}}]}`, "Unsupported value"},
		"a day twice":            {`{limits: [{name: a, requestsPerSecond: 5, schedule: {days: [Monday, Monday], from: "08:00", to: "18:00"}}]}`, "Duplicate value"},
		"an endpoint with a key": {`{match: {endpoint: "https://user:key@s3.example.com"}}`, "without user, password"},
		"a share of nothing":     {`{namespaces: [{name: team-a}]}`, "must say something"},
		"a namespace twice":      {`{namespaces: [{name: a, weight: 1}, {name: a, weight: 2}]}`, "Duplicate value"},
		"more than all":          {`{namespaces: [{name: a, maxSharePercent: 101}]}`, "less than or equal to 100"},
		"no parameter":           {`{coordination: {}}`, "should have at least 1 properties"},
		"a lease of one report":  {`{coordination: {updateInterval: 5s, leaseDuration: 5s}}`, "at least three times"},
		"an empty quota key":     {`{quotaKey: ""}`, "should be at least 1 chars long"},
		"a domain as quota key":  {`{quotaKey: "s3.example.com/archive"}`, "must be lower-case letters"},
		"a direction as a key":   {`{quotaKey: "link#read"}`, "must be lower-case letters"},
		"an endless quota key":   {`{quotaKey: "` + strings.Repeat("k", 64) + `"}`, "may not be more than 63"},
		"a path as a bucket":     {`{match: {bucket: "archive/photos"}}`, "must be a bucket name"},
	} {
		It("may not have "+name, func(ctx SpecContext) {
			err := api.Create(ctx, policy(c.spec))
			Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%v", err)
			Expect(err.Error()).To(ContainSubstring(c.message))
		})
	}
})
