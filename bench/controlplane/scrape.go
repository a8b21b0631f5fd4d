package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/client-go/kubernetes"
)

// families are metrics by name, as a process serves them.
type families map[string]*dto.MetricFamily

func parse(r io.Reader) (families, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	f, err := parser.TextToMetricFamilies(r)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	return f, nil
}

// scrapeManager reads the manager's metrics.
func scrapeManager(ctx context.Context, address string) (families, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("read the manager's metrics: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("read the manager's metrics: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	return parse(response.Body)
}

// scrapeServer reads those of the API server.
func scrapeServer(ctx context.Context, c kubernetes.Interface) (families, error) {
	text, err := c.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the API server's metrics: %w", err)
	}
	return parse(bytes.NewReader(text))
}

// value is the sum of a metric over its labels.
func (f families) value(name string) (sum float64) {
	for _, m := range f[name].GetMetric() {
		sum += m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
	}
	return sum
}

// requests counts what was asked of the API server, by what and of what.
func (f families) requests() map[string]float64 {
	counts := map[string]float64{}
	for _, m := range f["apiserver_request_total"].GetMetric() {
		labels := map[string]string{}
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		key := labels["verb"] + " " + labels["resource"]
		if s := labels["subresource"]; s != "" && s != "/" {
			key += "/" + strings.TrimPrefix(s, "/")
		}
		counts[key] += m.GetCounter().GetValue()
	}
	return counts
}

// histogram sums one over its labels.
type histogram struct {
	Count, Sum float64
	// Buckets are counts by upper bound.
	buckets map[float64]float64
}

func (f families) histogram(name string) histogram {
	h := histogram{buckets: map[float64]float64{}}
	for _, m := range f[name].GetMetric() {
		h.Count += float64(m.GetHistogram().GetSampleCount())
		h.Sum += m.GetHistogram().GetSampleSum()
		for _, b := range m.GetHistogram().GetBucket() {
			h.buckets[b.GetUpperBound()] += float64(b.GetCumulativeCount())
		}
	}
	return h
}

// since is what has come since an earlier one, all of it in a process that began anew.
func (h histogram) since(before histogram) histogram {
	if h.Count < before.Count {
		before = histogram{}
	}
	d := histogram{Count: h.Count - before.Count, Sum: h.Sum - before.Sum, buckets: map[float64]float64{}}
	for bound, n := range h.buckets {
		d.buckets[bound] = n - before.buckets[bound]
	}
	return d
}

func (h histogram) mean() float64 {
	if h.Count == 0 {
		return 0
	}
	return h.Sum / h.Count
}

// most is the least bound that nothing was above, 0 if there was something above all.
func (h histogram) most() float64 {
	least := math.Inf(1)
	for bound, n := range h.buckets {
		if n >= h.Count {
			least = min(least, bound)
		}
	}
	if math.IsInf(least, 1) {
		return 0
	}
	return least
}
