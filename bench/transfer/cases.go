package main

// condition is a path to the server.
type condition struct {
	name, about string
	tls         bool
	// text of the lab's conditions file; "" for none.
	text string
	// requestsPerSecond is what a policer lets through; 0 for no policer.
	requestsPerSecond float64
}

// plainHTTP is the condition in which nothing limits and nothing is encrypted.
const plainHTTP = "http"

func conditions() []condition {
	return []condition{
		{name: plainHTTP, about: "plain HTTP to a server that only counts; cargoship signs each body by its SHA-256, but for the row *unsigned*"},
		{name: "tls", about: "the same over TLS", tls: true},
		{
			name: "policer", about: "400 requests/s, 100 ms service time; medium is 1.3 s of work, about what finding that costs, 503s included",
			text:              "partitions: [{requestsPerSecond: 400}]\nserviceTime: {median: 100ms}\n",
			requestsPerSecond: 400,
		},
		{name: "link", about: "a shared link of 1 Gb/s", text: "bandwidth: {sharedMegabits: 1000}\n"},
		{name: "resets", about: "1 % of requests reset in their midst", text: "seed: 1\nfaults: [{kind: ResetRequest, share: 0.01}]\n"},
		{name: "errors", about: "1 % of requests answered 500", text: "seed: 1\nfaults: [{kind: InternalError, share: 0.01}]\n"},
	}
}

// scenario is a data set on a path.
type scenario struct {
	condition
	data dataset
}

func (s scenario) name() string { return s.condition.name + "/" + s.data.name }

// scenarios pairs each condition with the data sets that it can tell something about.
func scenarios() []scenario {
	with := map[string][]string{
		"http": {"big", "medium", "small"}, "tls": {"big", "medium", "small"},
		"policer": {"medium", "small"}, "link": {"big", "medium"},
		"resets": {"medium"}, "errors": {"medium"},
	}
	var all []scenario
	for _, c := range conditions() {
		for _, name := range with[c.name] {
			for _, d := range datasets() {
				if d.name == name {
					all = append(all, scenario{c, d})
				}
			}
		}
	}
	return all
}
