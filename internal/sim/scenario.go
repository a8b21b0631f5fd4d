package sim

// Scenario is one situation to be simulated; docs/simulator.md describes the file.
type Scenario struct {
	// Name is the file's name without its ending where it is not given.
	Name        string   `yaml:"name"`
	Description string   `yaml:"description"`
	Duration    Duration `yaml:"duration"`
	Service     Service  `yaml:"service"`
	// RequestTimeout is when a client gives up a request that is not answered.
	RequestTimeout Duration `yaml:"requestTimeout"`
	// ConnectionRate bounds each connection.
	ConnectionRate Bandwidth   `yaml:"connectionRate"`
	Links          []Link      `yaml:"links"`
	Partitions     []Partition `yaml:"partitions"`
	Transfers      []Transfer  `yaml:"transfers"`
	Tenants        []Tenant    `yaml:"tenants"`
	Changes        []Change    `yaml:"changes"`
	Faults         []Fault     `yaml:"faults"`
	// Known is what the destination is known for from before.
	Known *Known `yaml:"known"`
	// Limits are those of a policy, each in force until the next one is.
	Limits   []Limit  `yaml:"limits"`
	Messages Messages `yaml:"messages"`
	// API is the API server, if what it carries is part of the scenario.
	API *APIServer `yaml:"api"`
	// Targets are conditions on results of the adaptive controller, such as
	// goodputOfOracle: ">= 0.97".
	Targets map[string]Target `yaml:"targets"`
}

// Service is how long the destination takes to answer: a lognormal time, a
// 503's time between ThrottleMin and ThrottleMax.
type Service struct {
	Median    Duration `yaml:"median"`
	Sigma     float64  `yaml:"sigma"`
	SlowShare Share    `yaml:"slowShare"`
	SlowTime  Duration `yaml:"slowTime"`
	// ErrorShare of the requests is answered 500.
	ErrorShare  Share    `yaml:"errorShare"`
	ThrottleMin Duration `yaml:"throttleMin"`
	ThrottleMax Duration `yaml:"throttleMax"`
}

// Link is shared evenly by all requests whose bodies are under way on it.
type Link struct {
	Name      string    `yaml:"name"`
	Bandwidth Bandwidth `yaml:"bandwidth"`
}

// Partition admits requests at a rate, by a token bucket.
type Partition struct {
	Name string `yaml:"name"`
	Rate Rate   `yaml:"rate"`
	// Depth of the bucket, in requests; a tenth of a second of the rate if 0.
	Depth int    `yaml:"depth"`
	Split *Split `yaml:"split"`
	Merge *Merge `yaml:"merge"`
}

// Split is when a partition becomes several.
type Split struct {
	// Into is how many each becomes.
	Into int `yaml:"into"`
	// By keys: every prefix is spread over all of them. By prefixes: each prefix
	// belongs to one of them.
	By string `yaml:"by"`
	// After so long under Pressure, as a share of the rate, it splits.
	After    Duration `yaml:"after"`
	Pressure Share    `yaml:"pressure"`
	// At splits once at a time, whatever the pressure.
	At Duration `yaml:"at"`
	// Limit bounds the sum of the rates.
	Limit Rate `yaml:"limit"`
}

// Merge is when the parts of a partition become one again: after so long below
// a share of the rate.
type Merge struct {
	After Duration `yaml:"after"`
	Below Share    `yaml:"below"`
}

// Transfer is one claim on the destination, with workers of its own.
type Transfer struct {
	Name   string `yaml:"name"`
	Weight int    `yaml:"weight"`
	// Tenant is whose it is; transfers of one name or of none are one tenant's.
	Tenant string `yaml:"tenant"`
	// TenantWeight and TenantMost are the share that a policy gives the tenant; 0 for none.
	TenantWeight int   `yaml:"tenantWeight"`
	TenantMost   Share `yaml:"tenantMost"`
	// PartSize is the payload of one request.
	PartSize Size `yaml:"partSize"`
	// ArchiveParts is how many parts an archive has.
	ArchiveParts int `yaml:"archiveParts"`
	// Archives in all; 0 for more than can be sent. Arrivals take its place where
	// archives appear over time.
	Archives int           `yaml:"archives"`
	Arrivals []Arrival     `yaml:"arrivals"`
	Prefixes []Prefix      `yaml:"prefixes"`
	Workers  []WorkerGroup `yaml:"workers"`
}

// Prefix is a number of prefixes on one partition.
type Prefix struct {
	Name      string `yaml:"name"`
	Partition string `yaml:"partition"`
	Count     int    `yaml:"count"`
}

// Arrival is a number of archives that appear at a time, once or again and again.
type Arrival struct {
	At       Duration `yaml:"at"`
	Archives int      `yaml:"archives"`
	Every    Duration `yaml:"every"`
	Until    Duration `yaml:"until"`
}

// WorkerGroup is a number of workers alike.
type WorkerGroup struct {
	Name  string    `yaml:"name"`
	Count int       `yaml:"count"`
	NIC   Bandwidth `yaml:"nic"`
	Link  string    `yaml:"link"`
	// MaxInFlight is the most requests that memory allows.
	MaxInFlight int `yaml:"maxInFlight"`
}

// Tenant is somebody else who uses a partition and a link, from From to Until.
type Tenant struct {
	Name      string `yaml:"name"`
	Partition string `yaml:"partition"`
	Link      string `yaml:"link"`
	PartSize  Size   `yaml:"partSize"`
	// InFlight requests at once (closed loop) or Rate of requests (open loop).
	InFlight int      `yaml:"inFlight"`
	Rate     Rate     `yaml:"rate"`
	From     Duration `yaml:"from"`
	Until    Duration `yaml:"until"`
}

// Change is something that is otherwise from a time on.
type Change struct {
	At Duration `yaml:"at"`
	// One of them, by name.
	Link      string `yaml:"link"`
	Partition string `yaml:"partition"`
	Workers   string `yaml:"workers"`
	Transfer  string `yaml:"transfer"`
	// What it becomes.
	Bandwidth Bandwidth `yaml:"bandwidth"`
	Rate      Rate      `yaml:"rate"`
	NIC       Bandwidth `yaml:"nic"`
	// PartSize is that of archives that begin from then on; they stay as large as before.
	PartSize Size `yaml:"partSize"`
	// Service takes the place of names: what it leaves out stays as it was.
	Service *Service `yaml:"service"`
}

// Known is a profile of the destination.
type Known struct {
	Requests    Rate     `yaml:"requests"`
	BaseLatency Duration `yaml:"baseLatency"`
	Confidence  Share    `yaml:"confidence"`
	Age         Duration `yaml:"age"`
}

// Limit is what a policy allows from a time on; what is left out is not bounded.
type Limit struct {
	At       Duration  `yaml:"at"`
	Bytes    Bandwidth `yaml:"bytes"`
	Requests Rate      `yaml:"requests"`
	InFlight int       `yaml:"inFlight"`
	// Suspended: nothing may be sent.
	Suspended bool `yaml:"suspended"`
}

// Fault is something that breaks, at a time, for a while, once or again and again.
type Fault struct {
	Kind  string   `yaml:"kind"`
	At    Duration `yaml:"at"`
	For   Duration `yaml:"for"`
	Every Duration `yaml:"every"`
	Until Duration `yaml:"until"`
	// Partition that goes dark; all if empty.
	Partition string `yaml:"partition"`
	// Workers is a worker group, Count how many of it; all if empty or 0.
	Workers string `yaml:"workers"`
	Count   int    `yaml:"count"`
}

// The kinds of faults.
const (
	// FaultThrottling answers every request 503, FaultTimeouts none, FaultErrors 500.
	FaultThrottling = "throttling"
	FaultTimeouts   = "timeouts"
	FaultErrors     = "errors"
	// FaultHang freezes worker processes, FaultCrash kills pods, which others
	// replace, FaultRestart kills processes, which begin again in the same pod,
	// FaultIsolate cuts workers off from the API.
	FaultHang    = "hang"
	FaultCrash   = "crash"
	FaultRestart = "restart"
	FaultIsolate = "isolate"
	// FaultManager kills the manager; another begins after For.
	FaultManager = "manager"
	// FaultAPI keeps everybody from the API: workers and manager read and write nothing.
	// A manager that cannot renew its leadership ends; another begins when the API is back.
	FaultAPI = "api"
)

// APIServer carries the requests of workers and manager one after another.
type APIServer struct {
	// Requests per second.
	Requests Rate `yaml:"requests"`
	// Latency of each, besides the time that it waits for its turn.
	Latency Duration `yaml:"latency"`
	// Queue is how many may wait; a request beyond it is answered 429.
	Queue int `yaml:"queue"`
}

// Messages is what the messages between workers, API and manager suffer.
type Messages struct {
	// Delay of each, and up to Jitter more.
	Delay  Duration `yaml:"delay"`
	Jitter Duration `yaml:"jitter"`
	// Loss, Duplicates and Late are shares of the messages; late ones come up to
	// LateBy after those behind them.
	Loss       Share    `yaml:"loss"`
	Duplicates Share    `yaml:"duplicates"`
	Late       Share    `yaml:"late"`
	LateBy     Duration `yaml:"lateBy"`
	// Drift bounds how far each clock runs off, relative to true time.
	Drift Share `yaml:"drift"`
	// ReportsPerSecond of all workers are what the API server carries; the manager's default if 0.
	ReportsPerSecond int `yaml:"reportsPerSecond"`
}
