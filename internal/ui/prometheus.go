package ui

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	prometheus "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/convert"
)

// How far back Prometheus is asked, in which steps (it returns 11,000 points at most), and how
// many points a past run has.
const (
	pastSpan   = 7 * 24 * time.Hour
	pastStep   = time.Minute
	pastPoints = 500
)

// Prometheus is the Past that a Prometheus server has of one namespace, or of all with "".
type Prometheus struct {
	api       prometheus.API
	namespace string
	now       func() time.Time
}

// NewPrometheus asks the server at an address.
func NewPrometheus(address, namespace string) (*Prometheus, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("must be the address of a Prometheus server, such as http://127.0.0.1:9090")
	}
	client, err := api.NewClient(api.Config{Address: address})
	if err != nil {
		return nil, err
	}
	return &Prometheus{api: prometheus.NewAPI(client), namespace: namespace, now: time.Now}, nil
}

// Runs implements Past. A run is there while its coordinator counts what it sends.
func (p *Prometheus) Runs(ctx context.Context) ([]PastRun, error) {
	where := ""
	if p.namespace != "" {
		where = "namespace=" + strconv.Quote(p.namespace)
	}
	return p.runs(ctx, where)
}

func (p *Prometheus) runs(ctx context.Context, where string) ([]PastRun, error) {
	now := p.now()
	query := "sum by (namespace, transfer, uid) (max by (namespace, transfer, uid, prefix) (cargoship_prefix_sent_bytes_total{" + where + "}))"
	found, err := p.query(ctx, query, prometheus.Range{Start: now.Add(-pastSpan), End: now, Step: pastStep})
	if err != nil {
		return nil, err
	}
	var runs []PastRun
	for _, series := range found {
		first, last := series.Values[0], series.Values[len(series.Values)-1]
		r := PastRun{UID: string(series.Metric["uid"]), Name: cli.Printable(string(series.Metric["transfer"])), Namespace: cli.Printable(string(series.Metric["namespace"])),
			// The first value that is found may be one step late.
			Begin: first.Timestamp.Time().Add(-pastStep), End: last.Timestamp.Time(), Sent: convert.Bytes(int64(last.Value))}
		r.Duration = r.End.Sub(r.Begin).Round(pastStep).String()
		runs = append(runs, r)
	}
	slices.SortFunc(runs, func(a, b PastRun) int { return b.End.Compare(a.End) })
	return runs, nil
}

// query asks for series over a time; each has a value at least.
func (p *Prometheus) query(ctx context.Context, query string, over prometheus.Range) (model.Matrix, error) {
	found, _, _, err := p.api.QueryRange(ctx, query, over)
	if err != nil {
		return nil, fmt.Errorf("asking Prometheus for %s: %s: check the address given by --prometheus", query, cli.Printable(err.Error()))
	}
	matrix, ok := found.(model.Matrix)
	if !ok {
		return nil, fmt.Errorf("asking Prometheus for %s: it answered with a %s", query, found.Type())
	}
	return slices.DeleteFunc(matrix, func(s *model.SampleStream) bool { return len(s.Values) == 0 }), nil
}

// pastQueries ask for the curves of a run by prefix, and how to make one of the run from them.
// $ stands for the labels of the run. They have the units of metrics.
func pastQueries() map[Metric]struct{ query, whole string } {
	return map[Metric]struct{ query, whole string }{
		Throughput: {"rate(cargoship_prefix_sent_bytes_total{$}[1m])", "sum"},
		Done:       {"cargoship_prefix_sent_bytes_total{$}", "sum"},
		Window:     {"cargoship_prefix_window_requests{$}", "sum"},
		Rate:       {"cargoship_prefix_rate_requests_per_second{$} > 0", "sum"},
		Throttled:  {"100 * cargoship_prefix_throttled_ratio{$}", "max"},
		P50:        {`1000 * cargoship_prefix_service_seconds{$, quantile="0.5"}`, "max"},
		P99:        {`1000 * cargoship_prefix_service_seconds{$, quantile="0.99"}`, "max"},
	}
}

// Run implements Past.
func (p *Prometheus) Run(ctx context.Context, uid string) (PastRun, error) {
	where := "uid=" + strconv.Quote(uid)
	if p.namespace != "" {
		where += ", namespace=" + strconv.Quote(p.namespace)
	}
	runs, err := p.runs(ctx, where)
	switch {
	case err != nil:
		return PastRun{}, err
	case len(runs) == 0:
		return PastRun{}, fmt.Errorf("asking Prometheus for the run %s: %w", cli.Printable(uid), errNoRun)
	}
	r := runs[0]
	over := prometheus.Range{Start: r.Begin, End: r.End.Add(pastStep), Step: max(time.Second, r.End.Sub(r.Begin)/pastPoints)}
	samples := map[model.Time]map[Key]float64{}
	for metric, q := range pastQueries() {
		query := "max by (prefix) (" + strings.ReplaceAll(q.query, "$", where) + ")"
		for scope, query := range map[Scope]string{ByPrefix: query, Whole: q.whole + " (" + query + ")"} {
			found, err := p.query(ctx, query, over)
			if err != nil {
				return PastRun{}, err
			}
			collect(samples, found, scope, metric)
		}
	}
	piece := trackOf(samples)
	r.Track = &piece
	return r, nil
}

// collect adds series to samples.
func collect(samples map[model.Time]map[Key]float64, found model.Matrix, scope Scope, metric Metric) {
	for _, series := range found {
		key := Key{scope, cli.Printable(string(series.Metric["prefix"])), metric}
		for _, v := range series.Values {
			if samples[v.Timestamp] == nil {
				samples[v.Timestamp] = map[Key]float64{}
			}
			samples[v.Timestamp][key] = float64(v.Value)
		}
	}
}

// trackOf is a whole track of samples by their times.
func trackOf(samples map[model.Time]map[Key]float64) Piece {
	var track Track
	for _, at := range slices.Sorted(maps.Keys(samples)) {
		track.Add(at.Time(), samples[at])
	}
	piece, _ := track.Since(Mark{})
	return piece
}
