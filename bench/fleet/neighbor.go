package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// neighborConnections is how many requests the neighbor always has under way.
	neighborConnections = 64
	// neighborBackoff is its mean pause after a 503, neighborRest that between two
	// objects: alone it takes about half of what the path carries.
	neighborBackoff = 100 * time.Millisecond
	neighborRest    = 430 * time.Millisecond
)

// neighbor is a tenant of the same bucket that knows nothing of anybody: so many
// connections, each storing one object after the other, with a rest in between, forever.
type neighbor struct {
	cancel             context.CancelFunc
	running            sync.WaitGroup
	stored, throttled  atomic.Int64
	client             *http.Client
	endpoint, location string
}

// traffic is what the neighbor has sent, or sends in a second.
type traffic struct {
	// Stored and Throttled count requests.
	Stored    float64 `json:"stored"`
	Throttled float64 `json:"throttled"`
}

func (t traffic) since(before traffic, seconds float64) traffic {
	return traffic{(t.Stored - before.Stored) / seconds, (t.Throttled - before.Throttled) / seconds}
}

// startNeighbor starts one below the prefix that all share.
func startNeighbor(ctx context.Context, endpoint, bucket string) *neighbor {
	n := &neighbor{endpoint: endpoint, location: bucket + "/" + base, client: &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: neighborConnections, MaxConnsPerHost: neighborConnections,
	}}}
	ctx, n.cancel = context.WithCancel(ctx)
	for i := range neighborConnections {
		n.running.Go(func() { n.send(ctx, i) })
	}
	return n
}

func (n *neighbor) stop() {
	n.cancel()
	n.running.Wait()
	n.client.CloseIdleConnections()
}

func (n *neighbor) sent() traffic {
	return traffic{float64(n.stored.Load()), float64(n.throttled.Load())}
}

// send stores objects one after the other, each as often as it is throttled.
func (n *neighbor) send(ctx context.Context, connection int) {
	content := make([]byte, objectBytes)
	for number := 0; ctx.Err() == nil; {
		url := fmt.Sprintf("%s/%s/p%d/neighbor-%d-%d", n.endpoint, n.location, (connection+number)%prefixCount, connection, number)
		if n.put(ctx, url, content) {
			n.stored.Add(1)
			number++
			doze(ctx, neighborRest)
			continue
		}
		n.throttled.Add(1)
		doze(ctx, neighborBackoff)
	}
}

// doze waits for a time that is so long on average.
func doze(ctx context.Context, mean time.Duration) {
	// Whether it came to its end is for the caller's loop to see.
	_ = pause(ctx, time.Duration((0.5+rand.Float64())*float64(mean)))
}

func (n *neighbor) put(ctx context.Context, url string, content []byte) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(content))
	if err != nil {
		return false
	}
	response, err := n.client.Do(request)
	if err != nil {
		return false // with the connection, or at the end
	}
	_, read := io.Copy(io.Discard, response.Body)
	return response.Body.Close() == nil && read == nil && response.StatusCode == http.StatusOK
}
