package kubectl

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// removed stands where something was.
const removed = "(removed)"

// scrubber takes secrets out of what goes into a bundle and, with a key, names.
type scrubber struct {
	// key hashes names, so that one name is one word within a bundle and none in another; nil
	// leaves names as they are.
	key []byte
	// names are the words that were hashed in objects, to be found in text.
	names   map[string]bool
	secrets []secret
}

func newScrubber(hash bool) *scrubber {
	s := &scrubber{names: map[string]bool{}, secrets: secrets()}
	if hash {
		s.key = make([]byte, sha256.Size)
		_, _ = rand.Read(s.key) // it never fails
	}
	return s
}

// secret is a pattern of text that would let somebody in. Its first group stays.
type secret struct{ *regexp.Regexp }

// secrets are access keys, whatever is assigned to a name that speaks of a secret, or follows such a flag,
// authorization headers, what presigned URLs are signed with, users in URLs, and private keys.
func secrets() []secret {
	const name = `(?:secret(?:[_-]?access)?(?:[_-]?key)?|password|passwd|passphrase|token|access[_-]?key(?:[_-]?id)?|private[_-]?key)`
	const assigned = `\\*["']?\s*[:=]\s*`
	var all []secret
	for _, pattern := range []string{
		`()\b(?:AKIA|ASIA)[0-9A-Z]{16}\b`,
		`(X-Amz-(?:Signature|Credential|Security-Token)=)[^&\s"]+`,
		`(authorization` + assigned + `\\*["']?)[^"\r\n]+`,
		`([\w.-]*` + name + assigned + `")(?:[^"\\]|\\.)+`,
		`([\w.-]*` + name + assigned + `(?:'|\\+"))[^"'\\]+`,
		`([\w.-]*` + name + assigned + `)[^\s"'\\]+`,
		`(-` + name + `\s+|--?[\w-]+-` + name + `\s+)\S+`,
		`(://)[^\s/"'?#]*@`,
		`()-----BEGIN [A-Z ]*PRIVATE KEY-----[^"]*`,
	} {
		all = append(all, secret{regexp.MustCompile("(?i)" + pattern)})
	}
	return all
}

// withoutSecrets is a text with every secret removed.
func (s *scrubber) withoutSecrets(text string) string {
	for _, secret := range s.secrets {
		text = secret.ReplaceAllString(text, "${1}"+removed)
	}
	return text
}

// object is what is shown of an object: without annotations and managed fields, which hold
// copies of what was applied, without values of environment variables, and with hashed names.
func (s *scrubber) object(o client.Object) (any, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	if err := json.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	if metadata, ok := tree["metadata"].(map[string]any); ok {
		delete(metadata, "annotations")
		delete(metadata, "managedFields")
	}
	return s.tree("", tree), nil
}

// tree scrubs what is below a field.
func (s *scrubber) tree(field string, value any) any {
	switch value := value.(type) {
	case map[string]any:
		if field == "env" || s.key != nil && (field == "labels" || field == "nodeSelector" || field == "jobLabels" || field == "matchLabels") {
			return removed
		}
		out := map[string]any{}
		for _, name := range slices.Sorted(maps.Keys(value)) {
			out[name] = s.tree(name, value[name])
		}
		return out
	case []any:
		if field == "env" || field == "envFrom" {
			return removed
		}
		out := make([]any, len(value))
		for i := range value {
			out[i] = s.tree(field, value[i])
		}
		return out
	case string:
		return s.value(field, value)
	}
	return value
}

// value scrubs a text. Those of fields whose words are the API's stay; the rest may be a name.
func (s *scrubber) value(field, text string) string {
	switch {
	case s.key == nil || slices.Contains(wordFields(), field) || text == "":
		return s.text(text)
	case field == "message":
		return s.text(text)
	}
	return s.hash(text)
}

// wordFields are the fields whose values the API, and not a user, defines.
func wordFields() []string {
	return []string{
		"apiVersion", "kind", "type", "status", "reason", "state", "mode", "duty", "phase", "cause", "planning", "summary", "throughput", "duration",
		"limitedBy", "result", "format", "compression", "sync", "strategy", "bandwidthStrategy", "pattern", "advancedFlowControl", "onFailure",
		"onNothingSelected", "addressingStyle", "payloadSigning", "storageClass", "algorithm", "checksumAlgorithm", "finishedArchives", "cpu", "memory", "targetSize",
		"largeFileThreshold", "leaseDuration", "reportInterval", "updateInterval", "creationTimestamp", "deletionTimestamp", "startTime", "startedAt", "finishedAt",
		"completionTime", "estimatedCompletionTime", "lastTransitionTime", "lastProbeTime", "updateTime", "resourceVersion", "qosClass", "restartPolicy",
		"firstTimestamp", "lastTimestamp", "eventTime",
	}
}

// hash is a word for a name.
func (s *scrubber) hash(name string) string {
	s.names[name] = true
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(name))
	return "h-" + hex.EncodeToString(mac.Sum(nil)[:5])
}

// leastName is the length from which on a name is looked for in text: shorter ones are parts
// of other words.
const leastName = 3

// text scrubs a message or a line of a log: secrets and, if names are hashed, whatever was
// taken for one in an object, and what is quoted, such as the names of files.
func (s *scrubber) text(text string) string {
	text = s.withoutSecrets(text)
	if s.key == nil {
		return text
	}
	text = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`).ReplaceAllStringFunc(text, func(quoted string) string {
		return fmt.Sprintf("%q", s.hash(quoted))
	})
	names := slices.SortedFunc(maps.Keys(s.names), func(a, b string) int { return len(b) - len(a) })
	for _, name := range names {
		if len(name) >= leastName {
			text = strings.ReplaceAll(text, name, s.hash(name))
		}
	}
	return text
}

// line scrubs a line of a log. One that is JSON, as our programs write it, keeps its fields,
// and of their texts those that are our own.
func (s *scrubber) line(line string) string {
	var fields map[string]any
	if s.key == nil || json.Unmarshal([]byte(line), &fields) != nil {
		return s.text(line)
	}
	for name, value := range fields {
		switch name {
		case "time", "ts", "level", "msg", "logger", "reason", "state", "from", "to", "cause":
		default:
			fields[name] = s.tree(name, value)
		}
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return removed
	}
	return s.withoutSecrets(string(text))
}
